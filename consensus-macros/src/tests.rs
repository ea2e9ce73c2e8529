//! The macros as functions: whatever they are given, they return code and do not panic.

use proc_macro2::TokenStream;

use crate::{derive, entry, replicated, saga, simulate};

fn tokens(source: &str) -> TokenStream {
    source.parse().unwrap_or_else(|error| panic!("{source}: {error}"))
}

/// Returns the code as text, having checked that it is code.
fn code(output: TokenStream) -> String {
    let text = output.to_string();
    if let Err(error) = syn::parse2::<syn::File>(output) {
        panic!("{error}: {text}");
    }
    text
}

// Goal: no input makes `#[replicated]` panic, and what it says is always code, with an error in it.
// Method: blocks in which something or everything is wrong.
#[test]
fn odd_blocks_are_refused_in_code() {
    let blocks = [
        "impl Counter {}",
        "impl Counter { #[command] fn add(); }",
        "impl Counter { #[command] fn __(&mut self) {} }",
        "impl Counter { #[command] fn self_(&mut self) {} }",
        "impl Counter { #[command] fn größe(&mut self) {} }",
        "impl Counter { #[command = 3] fn add(&mut self) {} }",
        "impl Counter { #[command(,)] fn add(&mut self) {} }",
        "impl Counter { #[command(name)] fn add(&mut self) {} }",
        "impl Counter { #[command(name = \"\")] fn add(&mut self) {} }",
        "impl Counter { #[query(read)] fn get(&self) {} }",
        "impl Counter { #[query(read = 3)] fn get(&self) {} }",
        "impl Counter { #[query] fn get(self: Box<Self>) -> impl Fn() {} }",
        "impl Counter { #[query] fn get(&self, #[arg] a: u8, #[cfg(x)] b: u8) {} }",
        "impl Counter { #[query] fn get(&self, a: _, b: &'a [&'b str]) -> &'static str {} }",
        "impl Counter { #[command] fn add<'a, T, const N: u8>(&mut self, x @ 3: T) where T: X {} }",
        "impl Counter { #[command] #[query] #[command] fn f(&self, self_: Self) -> Self {} }",
        "impl<'a> Counter<'a> { #[query] fn get(&self) {} }",
        "impl (A, B) { #[query] fn get(&self) {} }",
        "impl <T as U>::V { #[query] fn get(&self) {} }",
        "unsafe impl X for Counter { #[query] fn get(&self) {} }",
        "#[cfg(x)] impl Counter { #[query] fn get(&self) {} }",
        "struct Counter;",
        "fn add() {}",
    ];
    for block in blocks {
        let text = code(replicated::expand(TokenStream::new(), tokens(block)));
        assert!(text.contains("compile_error"), "{block} should be refused: {text}");
    }
    let good = tokens("impl Counter { #[query] fn get(&self) {} }");
    for options in
        ["messages", "messages = 3", "messages = \"a b\"", "pub = 3", "=", "crate = \"\""]
    {
        let text = code(replicated::expand(tokens(options), good.clone()));
        assert!(text.contains("compile_error"), "{options} should be refused: {text}");
    }
}

// The same goal for the derive macros and for `main`.
#[test]
fn odd_types_and_mains_are_refused_in_code() {
    let types = [
        "#[replica] struct A;",
        "#[replica = 3] struct A;",
        "#[replica(protocol)] struct A;",
        "#[replica(protocol = raft(3))] struct A;",
        "#[replica(name = \"\", crate = 3)] struct A { a: u8 }",
        "#[replica(trust = \"x\")] struct A(#[replica(floats)] u8);",
        "enum A { #[replica(trust = \"x\")] B(*const u8), C { d: &'static fn() } }",
        "union A { a: u8 }",
    ];
    for item in types {
        for text in
            [derive::replicated(tokens(item)), derive::deterministic(tokens(item))].map(code)
        {
            assert!(text.contains("compile_error"), "{item} should be refused: {text}");
        }
    }
    for main in ["fn main<T>(self) {}", "async fn run(node: Node) -> Result {}", "struct Main;"] {
        let text = code(entry::expand(tokens("threads = 2"), tokens(main)));
        assert!(text.contains("compile_error"), "{main} should be refused: {text}");
    }
}

// The same goal for `simulate`.
#[test]
fn odd_simulations_are_refused_in_code() {
    let good = "fn f(sim: Sim<Counter>) {}";
    let cases = [
        ("", "fn f() {}"),
        ("", "fn f(self) {}"),
        ("", "fn f(sim: Sim<A>, more: u8) {}"),
        ("", "fn f(sim: Sim) {}"),
        ("", "fn f(sim: Sim<A, B>) {}"),
        ("", "async fn f<T>(sim: Sim<T>) -> u8 {}"),
        ("", "#[test] fn f(sim: Sim<A>) {}"),
        ("", "struct A;"),
        ("seeds", good),
        ("seeds = 0", good),
        ("seeds = -1, nodes = \"3\", ops(3)", good),
        ("faults", good),
        ("faults()", good),
        ("faults[crash]", good),
        ("faults(crash(3))", good),
        ("faults(crash, crash)", good),
        ("faults(3)", good),
        ("faults(crash), profile(all)", good),
        ("profile(network, disk)", good),
        ("profile = network", good),
        ("protocols(zab)", good),
        ("protocols(raft = 3)", good),
        ("=", good),
    ];
    for (options, item) in cases {
        let text = code(simulate::expand(tokens(options), tokens(item)));
        assert!(text.contains("compile_error"), "{options} {item} should be refused: {text}");
    }
    for item in [good, "fn r#fn(_: &mut a::Sim<Kv<u8>>) { x }"] {
        let text = code(simulate::expand(tokens("seeds = 3, faults(crash)"), tokens(item)));
        assert!(!text.contains("compile_error"), "{text}");
    }
}

// The same goal for `saga`.
#[test]
fn odd_sagas_are_refused_in_code() {
    let blocks = [
        "impl A {}",
        "impl A { #[step] fn a(); }",
        "impl A { #[step = 3] async fn a(&self) -> Outcome<()> {} }",
        "impl A { #[step(,)] async fn a(&self) -> Outcome<()> {} }",
        "impl A { #[step(undo)] async fn a(&self) -> Outcome<()> {} }",
        "impl A { #[step(undo = 3)] async fn a(&self) -> Outcome<()> {} }",
        "impl A { #[step(undo = a)] async fn a(&self) -> Outcome<()> {} }",
        "impl A { #[step(pivot = 3)] async fn a(&self) -> Outcome<()> {} }",
        "impl A { #[step(pivot, after(), retry, timeout)] async fn a(&self) -> Outcome<()> {} }",
        "impl A { #[step(pivot, after(a, b(3)))] async fn a(&self) -> Outcome<()> {} }",
        "impl A { #[step(pivot, retry(max = 5_000_000_000))] async fn a(&self) -> O {} }",
        "impl A { #[step(pivot, retry(backoff = \"..\"))] async fn a(&self) -> O {} }",
        "impl A { #[step(pivot)] async fn a(self: Box<Self>, (a, b): &C, d @ 3: _) -> O {} }",
        "impl A { #[step(pivot)] async fn a<'a, T>(&'a mut self, a: &'a T, ...) -> O {} }",
        "impl A { #[step(undo = b)] async fn a(&self) -> O {} fn b(a: Option<A>, a: Option) {} }",
        "impl<'a> A<'a> { #[step(pivot)] async fn a(&self) -> O {} }",
        "impl (A, B) { #[step(pivot)] async fn a(&self) -> O {} }",
        "impl X for A { #[step(pivot)] async fn a(&self) -> O {} }",
        "#[cfg(x)] impl A { #[step(pivot)] async fn a(&self) -> O {} }",
        "struct A;",
        "3",
    ];
    for block in blocks {
        let output = saga::expand(TokenStream::new(), tokens(block)).to_string();
        assert!(output.contains("compile_error"), "{block} should be refused: {output}");
    }
    let good = tokens("impl A { #[step(pivot)] async fn a(&self) -> O {} }");
    for options in
        ["name", "name = \"a b\"", "version = 5_000_000_000", "deadline = 3", "lock", "=", "crate"]
    {
        let text = code(saga::expand(tokens(options), good.clone()));
        assert!(text.contains("compile_error"), "{options} should be refused: {text}");
    }
    let text = code(saga::expand(tokens("deadline = \"1m\", lock = \"a\""), good));
    assert!(!text.contains("compile_error"), "{text}");
}

// A module's name is a keyword for some states; a raw one will do, and where there is none another.
#[test]
fn states_named_like_keywords_work() {
    for (state, module) in
        [("Type", "mod type_"), ("r#Match", "mod match_"), ("Super", "mod super_")]
    {
        let block = format!("impl {state} {{ #[query] fn r#move(&self) -> Self {{}} }}");
        let text = code(replicated::expand(TokenStream::new(), tokens(&block)));
        assert!(text.contains(module) && !text.contains("compile_error"), "{text}");
    }
}
