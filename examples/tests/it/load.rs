//! Clients that add to the counter whatever happens to its nodes, and the check of what they were
//! told.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::http::{GET, Http};

/// How long a client repeats an add at most until it has a definite answer.
const DEFINITE_WITHIN: Duration = Duration::from_secs(30);

/// How long a client that met no node waits before it turns to the next.
const PAUSE: Duration = Duration::from_millis(20);

/// An add and its definite answer.
#[derive(Clone, Debug)]
pub(crate) struct Add {
    pub(crate) by: i64,
    pub(crate) total: i64,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    /// How often it was sent.
    pub(crate) sent: u32,
}

/// A read and its answer.
#[derive(Clone, Debug)]
struct Read {
    value: i64,
    /// The largest total that any client had been told before the read began.
    known: i64,
}

/// Clients at work.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    begun: Instant,
    adders: Vec<JoinHandle<Vec<Add>>>,
    reader: JoinHandle<Vec<Read>>,
}

/// All that clients were told.
#[derive(Debug)]
pub(crate) struct History {
    adds: Vec<Add>,
    reads: Vec<Read>,
    begun: Instant,
    ended: Instant,
}

impl Load {
    /// Starts clients that each add without pause, and one that reads, all at one node after
    /// another.
    pub(crate) fn start(nodes: &[SocketAddr], clients: usize) -> Self {
        let (stop, known) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
        let adder = |number: usize| {
            let (nodes, stop, known) = (nodes.to_owned(), Arc::clone(&stop), Arc::clone(&known));
            thread::spawn(move || Client::new(nodes, number).add_until(&stop, &known))
        };
        let adders = (0..clients).map(adder).collect();
        let reader = Client::new(nodes.to_owned(), clients);
        let stopped = Arc::clone(&stop);
        let reader = thread::spawn(move || reader.read_until(&stopped, &known));
        Self { stop, begun: Instant::now(), adders, reader }
    }

    /// Lets every client finish what it has begun.
    pub(crate) fn finish(self) -> History {
        self.stop.store(true, Ordering::SeqCst);
        let ended = Instant::now();
        let join = |client: JoinHandle<Vec<Add>>| client.join().expect("a client fails");
        let mut adds: Vec<Add> = self.adders.into_iter().flat_map(join).collect();
        adds.sort_by_key(|add| add.total);
        let reads = self.reader.join().expect("the reader fails");
        History { adds, reads, begun: self.begun, ended }
    }
}

/// One client, which turns to the next node with each request.
struct Client {
    http: Http,
    nodes: Vec<SocketAddr>,
    number: usize,
    requests: usize,
}

impl Client {
    fn new(nodes: Vec<SocketAddr>, number: usize) -> Self {
        Self { http: Http::new(), nodes, number, requests: number }
    }

    fn next_node(&mut self) -> SocketAddr {
        self.requests += 1;
        self.nodes[self.requests % self.nodes.len()]
    }

    fn add_until(mut self, stop: &AtomicBool, known: &AtomicI64) -> Vec<Add> {
        let mut adds: Vec<Add> = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let by = (adds.len() % 9) as i64 + 1;
            let add = self.add(by, &format!("client-{}-add-{}", self.number, adds.len()));
            known.fetch_max(add.total, Ordering::SeqCst);
            adds.push(add);
        }
        adds
    }

    /// Adds, under one key until the answer is definite.
    fn add(&mut self, by: i64, key: &str) -> Add {
        let (begun, mut sent) = (Instant::now(), 0);
        loop {
            sent += 1;
            let node = self.next_node();
            match self.http.add(node, by, &[("Idempotency-Key", key)]) {
                Ok(answer) if answer.status == 200 => {
                    let (total, ended) = (answer.number(), Instant::now());
                    return Add { by, total, begun, ended, sent };
                }
                Ok(answer) => {
                    let problem = answer.problem();
                    let may_repeat = answer.status == 429 || answer.status >= 500;
                    assert!(may_repeat && problem.outcome != "applied", "{node}: {answer:?}");
                }
                // The node is down, or died with the request.
                Err(_) => thread::sleep(PAUSE),
            }
            assert!(begun.elapsed() < DEFINITE_WITHIN, "{key} was sent {sent} times in vain");
        }
    }

    fn read_until(mut self, stop: &AtomicBool, known: &AtomicI64) -> Vec<Read> {
        let mut reads = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let known = known.load(Ordering::SeqCst);
            let node = self.next_node();
            match self.http.get(node, GET, &[]) {
                Ok(answer) if answer.status == 200 => {
                    reads.push(Read { value: answer.number(), known });
                }
                Ok(answer) => drop(answer.problem()),
                Err(_) => thread::sleep(PAUSE),
            }
        }
        reads
    }
}

impl History {
    /// Makes the history of clients that added since `begun` and did not read.
    pub(crate) fn of_adds(mut adds: Vec<Add>, begun: Instant) -> Self {
        adds.sort_by_key(|add| add.total);
        Self { adds, reads: Vec::new(), begun, ended: Instant::now() }
    }

    /// Returns what the counter must hold.
    pub(crate) fn sum(&self) -> i64 {
        self.adds.iter().map(|add| add.by).sum()
    }

    /// Returns how many adds were answered.
    pub(crate) fn len(&self) -> usize {
        self.adds.len()
    }

    /// Checks that the answers are those of one counter that started at zero and applied each add
    /// once, at some moment between its call and its answer, and that no read missed an add that
    /// was answered before it.
    pub(crate) fn check(&self) {
        assert!(!self.adds.is_empty(), "no add was answered");
        let (mut total, mut latest_begun) = (0, self.begun);
        for add in &self.adds {
            total += add.by;
            assert_eq!(add.total, total, "an add was applied twice or lost before {add:?}");
            assert!(add.ended >= latest_begun, "{add:?} ended before one that it follows began");
            latest_begun = latest_begun.max(add.begun);
        }
        for read in &self.reads {
            assert!(read.value >= read.known, "a stale read: {read:?}");
            let at = self.adds.binary_search_by_key(&read.value, |add| add.total);
            assert!(read.value == 0 || at.is_ok(), "the counter never stood so: {read:?}");
        }
    }

    /// Says how the clients fared.
    pub(crate) fn summary(&self) -> String {
        let seconds = self.ended.duration_since(self.begun).as_secs_f64();
        let sent: u32 = self.adds.iter().map(|add| add.sent).sum();
        let slowest = self.adds.iter().map(|add| add.ended - add.begun).max().unwrap_or_default();
        format!(
            "{} adds and {} reads in {seconds:.1} s, {} requests repeated, longest gap between \
             answered adds {:?}, slowest add {slowest:?}",
            self.adds.len(),
            self.reads.len(),
            sent as usize - self.adds.len(),
            self.longest_gap(),
        )
    }

    /// Returns the longest time in which no add was answered.
    pub(crate) fn longest_gap(&self) -> Duration {
        let mut times: Vec<Instant> = self.adds.iter().map(|add| add.ended).collect();
        times.extend([self.begun, self.ended]);
        times.sort_unstable();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }
}
