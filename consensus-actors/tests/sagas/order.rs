//! What the tests carry out: an order, which takes goods from the stock, money from the purse, and
//! then ships. Its flaws are its input.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use consensus_actors::{
    MemoryCluster, NodeBuilder,
    prelude::*,
    saga::{
        BoxFuture, Bytes, Class, Graph, Guard, Guarded, Outcome, Request, Retry, SagaCx,
        SagaDefinition, Sagas, Step, StepId, Undo,
    },
};

/// An amount that sagas take from and give back to, with how often they did.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
pub(crate) struct Store {
    left: i64,
    taken: u32,
    put_back: u32,
    guard: Guard,
}

#[replicated]
impl Store {
    #[command]
    fn fill(&mut self, count: i64) {
        self.left += count;
    }

    #[command]
    fn take(&mut self, of: Request, count: i64) -> Guarded<i64> {
        self.guard.act(of, || {
            if self.left < count {
                return Err(format!("only {} left", self.left));
            }
            self.left -= count;
            self.taken += 1;
            Ok(count)
        })
    }

    #[command]
    fn put_back(&mut self, of: Request) -> Guarded<()> {
        self.guard.undo(of, |count: i64| {
            self.left += count;
            self.put_back += 1;
            Ok::<_, String>(())
        })
    }

    /// What is left, how often something was taken, and how often put back.
    #[query]
    fn told(&self) -> (i64, u32, u32) {
        (self.left, self.taken, self.put_back)
    }
}

pub(crate) const GOODS: StepId = StepId(0);
pub(crate) const MONEY: StepId = StepId(1);

/// An order, and what is wrong with it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PlaceOrder {
    pub(crate) goods: i64,
    pub(crate) money: i64,
    /// The first attempts at shipping panic, as many as this.
    pub(crate) panics: u32,
    /// Taking money takes so many milliseconds.
    pub(crate) waits: u64,
    /// Shipping takes so many milliseconds.
    pub(crate) lasts: u64,
    /// Shipping is refused.
    pub(crate) refused: bool,
    /// Giving the goods back does not work.
    pub(crate) keeps_goods: bool,
}

/// What steps work with.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) goods: StoreClient,
    pub(crate) money: StoreClient,
    /// How often shipping was asked for.
    pub(crate) shipped: Arc<AtomicU32>,
    /// Whether giving goods back works after all.
    pub(crate) healed: Arc<AtomicU32>,
}

fn step(name: &str, class: Class, after: &[StepId]) -> Step {
    let (base, cap) = (Duration::from_millis(5), Duration::from_millis(50));
    Step {
        name: name.to_owned(),
        class,
        after: after.to_vec(),
        timeout: Duration::from_secs(5),
        retry: Retry { attempts_max: 20, base, cap },
    }
}

impl PlaceOrder {
    async fn ship(&self, cx: &SagaCx) -> Outcome<String> {
        let asked = cx.get::<Services>().shipped.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(self.lasts)).await;
        assert!(asked >= self.panics, "on purpose");
        let (goods, money) = (cx.output::<i64>(GOODS), cx.output::<i64>(MONEY));
        let (Ok(Some(goods)), Ok(Some(money))) = (goods, money) else { return Outcome::Unknown };
        if self.refused {
            return Outcome::Rejected("no lorry".to_owned());
        }
        Outcome::Done(format!("{goods} for {money}"))
    }
}

impl SagaDefinition for PlaceOrder {
    type Output = String;

    fn graph() -> Graph {
        let steps = vec![
            step("goods", Class::Compensatable, &[]),
            step("money", Class::Compensatable, &[]),
            step("ship", Class::Pivot, &[]),
        ];
        Graph::new(("place-order", 1), None, steps).unwrap()
    }

    fn act<'a>(&'a self, step: StepId, cx: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>> {
        let services = cx.get::<Services>();
        Box::pin(async move {
            match step {
                GOODS => taken(services.goods.take(cx.request(), self.goods).await),
                MONEY => {
                    tokio::time::sleep(Duration::from_millis(self.waits)).await;
                    taken(services.money.take(cx.request(), self.money).await)
                }
                _ => self.ship(cx).await.encoded(),
            }
        })
    }

    fn undo<'a>(&'a self, step: StepId, cx: &'a SagaCx, _: Option<Bytes>) -> BoxFuture<'a, Undo> {
        let services = cx.get::<Services>();
        Box::pin(async move {
            match step {
                GOODS if self.keeps_goods && services.healed.load(Ordering::SeqCst) == 0 => {
                    Undo::Failed("the door is locked".to_owned())
                }
                GOODS => services.goods.put_back(cx.request()).await.into(),
                _ => services.money.put_back(cx.request()).await.into(),
            }
        })
    }
}

fn taken(reply: consensus_actors::Result<Guarded<i64>>) -> Outcome<Bytes> {
    Outcome::<i64>::from(reply).encoded()
}

/// A saga of one step, which not every node knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rare;

impl SagaDefinition for Rare {
    type Output = ();

    fn graph() -> Graph {
        Graph::new(("rare", 1), None, vec![step("only", Class::NoEffect, &[])]).unwrap()
    }

    fn act<'a>(&'a self, _: StepId, _: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>> {
        Box::pin(async { Outcome::<(), String>::Done(()).encoded() })
    }

    fn undo<'a>(&'a self, _: StepId, _: &'a SagaCx, _: Option<Bytes>) -> BoxFuture<'a, Undo> {
        Box::pin(async { Undo::Done })
    }
}

/// Nodes that carry orders out, each with clients of its own.
pub(crate) struct Shop {
    pub(crate) sagas: Vec<Sagas>,
    pub(crate) services: Vec<Services>,
    /// What the nodes live in, if they share a thread.
    _cluster: Option<MemoryCluster>,
}

impl Shop {
    /// Opens one on three nodes with so many goods, and so much money.
    pub(crate) async fn open(goods: i64, money: i64) -> Self {
        Self::configured(goods, money, |node| node).await
    }

    pub(crate) async fn configured(
        goods: i64,
        money: i64,
        configure: impl Fn(NodeBuilder) -> NodeBuilder,
    ) -> Self {
        let cluster = MemoryCluster::configured(3, |node| configure(hasty(node))).unwrap();
        let shop = Self::on(cluster.nodes(), goods, money).await;
        Self { _cluster: Some(cluster), ..shop }
    }

    /// Opens one on nodes that are there.
    pub(crate) async fn on(nodes: &[Node], goods: i64, money: i64) -> Self {
        let (shipped, healed) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let (mut sagas, mut services) = (Vec::new(), Vec::new());
        for node in nodes {
            let of_node = Services {
                goods: node.host::<Store>("goods").await.unwrap(),
                money: node.host::<Store>("money").await.unwrap(),
                shipped: Arc::clone(&shipped),
                healed: Arc::clone(&healed),
            };
            let hosting = node.sagas("orders").with(of_node.clone()).register::<PlaceOrder>();
            // Only the first node knows the other.
            let hosting = if node.id() == 1 { hosting.register::<Rare>() } else { hosting };
            sagas.push(hosting.snapshot_every(40).await.unwrap());
            services.push(of_node);
        }
        services[0].goods.fill(goods).deadline("20s").await.unwrap();
        services[0].money.fill(money).deadline("20s").await.unwrap();
        Self { sagas, services, _cluster: None }
    }

    /// Returns what is left of goods and money, and how often they were taken and put back.
    pub(crate) async fn told(&self) -> ((i64, u32, u32), (i64, u32, u32)) {
        let Services { goods, money, .. } = self.services.last().unwrap();
        (goods.told().await.unwrap(), money.told().await.unwrap())
    }

    /// Returns how often shipping was asked for.
    pub(crate) fn shipped(&self) -> u32 {
        self.services[0].shipped.load(Ordering::SeqCst)
    }
}

/// Has a node's elections take less time.
pub(crate) fn hasty(node: NodeBuilder) -> NodeBuilder {
    node.election_timeout(Duration::from_millis(300)).heartbeat(Duration::from_millis(60))
}
