//! The macros of `consensus-actors`, which re-exports them; depend on that crate, not on this one.
//!
//! Two macros on one type make it a replicated actor. `#[derive(Replicated)]` on the struct says
//! what it is called and that its fields behave alike on every replica; `#[replicated]` on an impl
//! block says which of its methods are commands and queries. Each reports the absence of the other.
//!
//! ```ignore
//! use consensus_actors::prelude::*;
//!
//! #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
//! #[replica(protocol = raft)]
//! struct Counter {
//!     value: i64,
//! }
//!
//! #[replicated]
//! impl Counter {
//!     /// Adds `by` and returns the new total.
//!     #[command]
//!     fn add(&mut self, by: i64) -> i64 {
//!         self.value += by;
//!         self.value
//!     }
//!
//!     #[query]
//!     fn get(&self) -> i64 {
//!         self.value
//!     }
//! }
//! ```
//!
//! `#[saga]` on an impl block makes its methods the steps of a saga.
//!
//! A mistake is reported where it is, with what to do instead; several mistakes are reported at
//! once. Generated code names everything by its full path, so that no name of yours changes it.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use proc_macro::TokenStream;

mod catalogue;
mod derive;
mod duration;
mod entry;
mod error;
mod facade;
mod names;
mod options;
mod protocols;
mod replicated;
mod saga;
mod simulate;
mod tokens;

#[cfg(test)]
mod tests;

/// Makes a struct or an enum the state of a replicated actor, together with [`macro@replicated`].
///
/// The type must also be `Clone`, `Default`, `Serialize`, `Deserialize`, `Send` and own its data.
/// Every field must be `Deterministic`: a type whose operations, order of iteration and encoding
/// are the same on every replica. `HashMap`, `Instant`, `usize` and the like are refused, with the
/// type to use instead.
///
/// # Options of the type
/// In `#[replica(..)]`:
/// * `protocol = raft` or `multi_paxos`: the protocol, unless the configuration says otherwise.
/// * `name = "counter"`: the state's stable name; by default the type's name in snake case.
/// * `snapshot(every = 10_000, bytes = "64MiB", keep = 2)`: after how many entries or bytes of
///   commands a snapshot is taken, and how many are kept.
/// * `settings(deadline = "2s", pre_vote = false)`: settings of its groups, unless the configuration
///   says otherwise; they are named in `docs/configuration.md`.
/// * `floats`: allows `f32` and `f64` in fields.
/// * `simulate`: adds a test, `counter_is_linearizable` for a `Counter`, which simulates the state
///   with operations made up from their types, as [`macro@simulate`] does.
/// * `crate = "path"`: where `consensus_actors` is, if the manifest does not say so.
///
/// # Options of a field
/// `#[replica(trust = "only looked up, never iterated")]` takes a field as it is. The reason is
/// mandatory: whoever reads the field next needs it.
///
/// # Generic types
/// The parameters that fields use must be `Deterministic` too, which is checked where the type is
/// used. Give the parameters the serde bounds and tell serde so, as in
/// `#[serde(bound = "")] struct Kv<K: Key, V: Val> { .. }` with `DeserializeOwned` among the
/// supertraits of `Key` and `Val`.
#[proc_macro_derive(Replicated, attributes(replica))]
pub fn derive_replicated(item: TokenStream) -> TokenStream {
    derive::replicated(item.into()).into()
}

/// Vouches that a type behaves alike on every replica, because all of its fields do.
///
/// Derive it for the types that stand in a replicated state. A field that cannot be checked is
/// taken as it is with `#[replica(trust = "why replicas cannot differ")]`; `#[replica(floats)]` on
/// the type allows `f32` and `f64`.
///
/// ```ignore
/// #[derive(Clone, Serialize, Deserialize, Deterministic)]
/// enum Order {
///     Buy { cents: u64 },
///     Sell { cents: u64 },
/// }
/// ```
#[proc_macro_derive(Deterministic, attributes(replica))]
pub fn derive_deterministic(item: TokenStream) -> TokenStream {
    derive::deterministic(item.into()).into()
}

/// Makes the methods of an impl block the commands and queries of a replicated actor.
///
/// A method marked `#[command]` changes the state: it takes `&mut self` and owned arguments, and
/// runs on every replica, in the order of the log. `cx: &mut Cx` as its last parameter gives it a
/// clock and random numbers that are the same everywhere. A method marked `#[query]` reads the
/// state: it takes `&self`, and its answer is linearizable. Methods without a mark are left alone,
/// and all of them can be called in a unit test as ever.
///
/// Arguments must be `Clone`, `Serialize`, `Deserialize` and `Send`, replies `Serialize`,
/// `Deserialize` and `Send`. One block of a type is marked, at the level of a module; it may have
/// commands only or queries only.
///
/// # Options
/// Of the block, in `#[replicated(..)]`:
/// * `messages = "ops"`: the name of the messages' module; by default the type's in snake case.
/// * `pub`, `pub(crate)` and so on: who else may name that module and the messages; by default
///   nobody outside the module that the block is in.
/// * `crate = "path"`: where `consensus_actors` is, if the manifest does not say so.
///
/// Of a method, in `#[command(..)]` and `#[query(..)]`:
/// * `name = "add"`: the name in the log and over HTTP; by default the method's. Give the old name
///   to a method that you rename.
/// * `trust = "why"`, of a command: switches off the search for what differs between replicas.
/// * `read = linearizable`, of a query: how fresh the answer is; so far there is one level.
///
/// Of an argument:
/// * `#[arg(default)]`: it may be missing, as in what was logged before the argument existed; then
///   it is its type's default.
///
/// Messages are private by default because a `pub` message may not have a private state or a
/// private reply. The typed client and its methods are always `pub`, so the client can be used
/// wherever the block's module can be seen.
///
/// # What a command must not do
/// Its body is searched for what differs between replicas: clocks, random numbers, files, threads,
/// the environment, hash maps, printing. The search reads names, so it is a help and no proof.
///
/// # Generic types
/// Bounds stand on the block: every parameter of it must be `Serialize`, `DeserializeOwned`,
/// `Clone`, `Send` and `'static` by them, as in `impl<K: Key, V: Val> Kv<K, V>`. A message of a
/// generic state is made with `kv::Put::new(key, value)`. Constants work, lifetimes do not.
///
/// # Expanded code
/// <details>
/// <summary>See what becomes of a counter</summary>
///
/// ```ignore
/// #[replicated]
/// impl Counter {
///     /// Adds `by` and returns the new total.
///     #[command]
///     fn add(&mut self, by: i64) -> i64 {
///         self.value += by;
///         self.value
///     }
///
///     #[query]
///     fn get(&self) -> i64 {
///         self.value
///     }
/// }
/// ```
/// becomes the same block without the marks, and (paths shortened):
/// ```ignore
/// /// The commands and queries of [`Counter`] as messages.
/// mod counter {
///     use super::*;
///
///     /// Adds `by` and returns the new total.
///     #[derive(Clone, Serialize, Deserialize)]
///     #[serde(deny_unknown_fields)]
///     pub(super) struct Add {
///         /// The argument `by`.
///         pub by: i64,
///     }
///
///     /// The query `get`.
///     #[derive(Clone, Serialize, Deserialize)]
///     #[serde(deny_unknown_fields)]
///     pub(super) struct Get {}
///
///     // On the wire and in the log: {"add": {"by": 1}}.
///     #[derive(Serialize, Deserialize)]
///     pub enum CounterCommand {
///         #[serde(rename = "add")]
///         Add(Add),
///     }
///
///     #[derive(Serialize)]
///     #[serde(untagged)]
///     pub enum CounterReply {
///         Add(i64),
///     }
///
///     // Likewise CounterQuery and CounterAnswer.
///
///     impl Command for Add {
///         type State = Counter;
///         type Reply = i64;
///         const NAME: &'static str = "add";
///     }
///     impl From<Add> for CounterCommand { /* .. */ }
///     impl Apply<Add> for Counter {
///         fn apply(&mut self, cx: &mut Cx, message: Add) -> i64 {
///             <Counter>::add(self, message.by)
///         }
///     }
///     impl actix::Message for Add {
///         type Result = Result<i64, Error>;
///     }
///     impl actix::Handler<Add> for Replica<Counter> { /* .. */ }
///
///     // Likewise Query, From, Answer, Message and Handler for Get.
///
///     impl StateMachine for Counter {
///         type Command = CounterCommand;
///         type Reply = CounterReply;
///         type Query = CounterQuery;
///         type Answer = CounterAnswer;
///         const INTERFACE: Interface = Interface { /* names, arguments, docs */ };
///
///         fn apply(&mut self, cx: &mut Cx, message: CounterCommand) -> CounterReply {
///             match message {
///                 CounterCommand::Add(message) => {
///                     CounterReply::Add(<Counter>::add(self, message.by))
///                 }
///             }
///         }
///
///         fn answer(&self, message: CounterQuery) -> CounterAnswer { /* .. */ }
///     }
///     impl Commands for Counter {
///         type Client = CounterClient;
///     }
///     // The name and the protocol are those of the derive.
///     impl Replicated for Counter { /* .. */ }
///
///     /// A client of a replicated [`Counter`]: a method for each command and query.
///     pub struct CounterClient(Client<Counter>);
///
///     impl CounterClient {
///         /// Finds the group `name` from a program that is no member, at any of `addresses`,
///         /// which are peer ports of its nodes. `.await` what it returns.
///         pub fn connect(
///             addresses: impl IntoIterator<Item = impl Into<String>>,
///             name: impl Into<String>,
///         ) -> Connecting<Counter> {
///             Client::connect(addresses, name)
///         }
///
///         /// Returns the client without the typed methods.
///         pub fn client(&self) -> &Client<Counter> {
///             &self.0
///         }
///
///         /// Returns the address of the actor, which takes the messages themselves.
///         pub fn addr(&self) -> Addr<Replica<Counter>> {
///             self.0.addr()
///         }
///
///         /// Adds `by` and returns the new total.
///         pub fn add(&self, by: i64) -> Call<i64> {
///             self.0.command(Add { by })
///         }
///
///         /// Sends the query `get`.
///         pub fn get(&self) -> Call<i64> {
///             self.0.query(Get {})
///         }
///     }
///     impl Clone for CounterClient { /* .. */ }
///     impl From<Client<Counter>> for CounterClient { /* .. */ }
/// }
/// pub use counter::CounterClient;
/// ```
/// </details>
#[proc_macro_attribute]
pub fn replicated(options: TokenStream, item: TokenStream) -> TokenStream {
    replicated::expand(options.into(), item.into()).into()
}

/// Marks a method as a command, inside a [`macro@replicated`] block and nowhere else.
#[proc_macro_attribute]
pub fn command(_: TokenStream, item: TokenStream) -> TokenStream {
    error::misplaced("command", "replicated", item.into()).into()
}

/// Marks a method as a query, inside a [`macro@replicated`] block and nowhere else.
#[proc_macro_attribute]
pub fn query(_: TokenStream, item: TokenStream) -> TokenStream {
    error::misplaced("query", "replicated", item.into()).into()
}

/// Makes an `async fn main` the program of a node.
///
/// It reads the command line, the environment and the configuration, starts the runtime, calls the
/// function with the node that they describe, and turns what it returns into the exit code.
///
/// ```ignore
/// #[consensus_actors::main]
/// async fn main(node: Node) -> consensus_actors::Result {
///     node.host::<Counter>("hits").await?;
///     node.run().await
/// }
/// ```
///
/// `#[consensus_actors::main(crate = "path")]` says where `consensus_actors` is, if the manifest
/// does not. The program's name and version are those of the binary and its package.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(options.into(), item.into()).into()
}

/// Makes a function a test that simulates a replicated state: a cluster under virtual time, many
/// seeds, and every fault.
///
/// The function gets the simulation and says what callers ask for, in closures with a generator;
/// with an empty body, commands and queries are made up from the types of their arguments. When it
/// has ended, the simulation is checked: what callers were told must be linearizable, with every
/// command applied exactly once, and the state must be deterministic.
///
/// ```ignore
/// #[simulate(seeds = 300, faults(crash, partition, drop, duplicate))]
/// fn counter_is_linearizable(sim: Sim<Counter>) {
///     sim.clients(4)
///         .command(|g| counter::Add { by: g.in_range(-9..=9) })
///         .query(|_| counter::Get {});
/// }
///
/// #[simulate]
/// fn kv_is_linearizable(sim: Sim<Kv>) {}
/// ```
///
/// A seed that fails is shrunk and told of in one screen, with the command that runs it alone, as
/// in `CONSENSUS_SEED=0x2a cargo test counter_is_linearizable`, and with a page that shows it,
/// `target/simulate/counter_is_linearizable.html`.
///
/// # Options
/// * `seeds = 100`, `nodes = 5`, `ops = 100`, `clients = 4`, `seconds = 5`: how many runs there
///   are, of how many nodes, operations, clients at a time, and seconds of virtual time. These are
///   the defaults, which take a second or two; more seeds are for `--release`.
/// * `faults(crash, drop, ..)`: what may happen; by default everything. `Sim` has the table.
/// * `profile(network)`: a named set of faults: `calm`, `network`, `crash`, `disk`, `clock`, `all`.
/// * `protocols(raft, multi_paxos)`: under which protocols; by default that of the state.
/// * `crate = "path"`: where `consensus_actors` is, if the manifest does not say so.
#[proc_macro_attribute]
pub fn simulate(options: TokenStream, item: TokenStream) -> TokenStream {
    simulate::expand(options.into(), item.into()).into()
}

/// Makes the methods of an impl block the steps of a saga, whose input is the type.
///
/// A method marked `#[step(..)]` is a step. It takes `&self`, `cx: &SagaCx` if it wants to know who
/// asks and under which key, and what earlier steps brought: a parameter named like a step is given
/// its output, and makes this step wait for that one. Steps that do not wait for each other run at
/// the same time. They stand in an order in which they could run one by one.
///
/// ```ignore
/// use consensus_actors::{
///     prelude::*,
///     saga::{Outcome, SagaCx, Undo},
/// };
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct PlaceOrder {
///     goods: u32,
///     cents: u64,
/// }
///
/// #[saga(version = 1, deadline = "2m")]
/// impl PlaceOrder {
///     #[step(undo = release)]
///     async fn reserve(&self, cx: &SagaCx) -> Outcome<Hold> {
///         cx.get::<Services>().stock.take(cx.request(), self.goods).await.into()
///     }
///
///     async fn release(&self, cx: &SagaCx) -> Undo {
///         cx.get::<Services>().stock.put_back(cx.request()).await.into()
///     }
///
///     #[step(undo = refund, timeout = "10s", retry(max = 5, backoff = "100ms..10s"))]
///     async fn charge(&self, cx: &SagaCx) -> Outcome<Receipt, PayError> {
///         cx.get::<Services>().bank.charge(cx.key().to_string(), self.cents).await.into()
///     }
///
///     /// Gets what `charge` brought, if that is known.
///     async fn refund(&self, cx: &SagaCx, charge: Option<&Receipt>) -> Undo {
///         let refunded = cx.get::<Services>().bank.refund(cx.key().to_string(), charge).await;
///         Outcome::from(refunded).into()
///     }
///
///     /// Runs when both are done; once it is done itself, nothing is undone.
///     #[step(pivot)]
///     async fn ship(&self, cx: &SagaCx, reserve: &Hold, charge: &Receipt) -> Outcome<Tracking> {
///         cx.get::<Services>().carrier.book(cx.key().to_string(), reserve, charge).await.into()
///     }
///
///     /// The last step: what it brings is what the saga brings.
///     #[step(retriable)]
///     async fn mail(&self, cx: &SagaCx, ship: &Tracking) -> Outcome<Tracking, MailError> {
///         let mailed = cx.get::<Services>().mail.send(cx.key().to_string(), ship).await;
///         Outcome::from(mailed.map(|()| ship.clone()))
///     }
/// }
/// ```
///
/// The type must be `Serialize`, `Deserialize`, `Clone`, `Send`, `Sync` and own its data; what
/// steps bring `Serialize`, `Deserialize`, `Send` and `Sync`; the errors with which they refuse
/// `Display`.
///
/// The type then is a `SagaDefinition`: `node.sagas("orders").register::<PlaceOrder>()` has a node
/// carry it out, `PlaceOrder::graph().mermaid()` and `.dot()` draw it. Methods without a mark that
/// undo nothing are left alone, and all of them can be called in a unit test as ever.
///
/// # Options of the block
/// In `#[saga(..)]`:
/// * `name = "place-order"`: the saga's name; by default the type's in kebab case.
/// * `version = 2`: which version this is, 1 by default. Another set of steps needs another.
/// * `deadline = "2m"`: a saga that is not decided by then is undone; by default there is none.
/// * `holds = keys`: the method `fn keys(&self) -> Holds` of this block says what the saga keeps
///   others from while it is under way; by default nothing.
/// * `lock = "saga.lock"`: adds a test, `place_order_keeps_its_steps`, which compares the steps
///   with their fingerprint in that file, in the folder of the package's manifest: so nobody
///   changes them unawares. Run with `UPDATE_SAGA_LOCK=1` it writes the file; keep that with the
///   source.
/// * `crate = "path"`: where `consensus_actors` is, if the manifest does not say so.
///
/// # Options of a step
/// In `#[step(..)]`, one of these four:
/// * `undo = release`: it is undone by the method `release` of this block, which returns `Undo`, or
///   what becomes one: an `Outcome<(), E>`, or the reply of a replicated actor. A parameter named
///   like the step gets what it brought, as an `Option`: nobody may know that, or whether it was
///   carried out at all. Others get what those steps brought that this one waits for.
/// * `no_effect`: it changes nothing.
/// * `pivot`: it decides. It waits for all before it, and once it is done the saga is carried to
///   its end. There is one at most.
/// * `retriable`: it comes after the pivot, and is tried until it succeeds.
///
/// And any of these:
/// * `after(reserve, look_up)`: it waits for these, too.
/// * `timeout = "10s"`: how long an attempt may take before its outcome is unknown; 5 s by default.
/// * `retry(max = 5, backoff = "100ms..10s")`: how many attempts there are, and the longest pause
///   after the first of them and of all; by default 8, `"100ms..10s"`.
/// * `name = "reserve"`: its name in logs; by default the method's. Give the old name to a method
///   that you rename.
///
/// Durations have the unit `ms`, `s` or `m`.
#[proc_macro_attribute]
pub fn saga(options: TokenStream, item: TokenStream) -> TokenStream {
    saga::expand(options.into(), item.into()).into()
}

/// Marks a method as a step, inside a [`macro@saga`] block and nowhere else.
#[proc_macro_attribute]
pub fn step(_: TokenStream, item: TokenStream) -> TokenStream {
    error::misplaced("step", "saga", item.into()).into()
}
