//! Layers, origins, and what is said of values that cannot be.

use std::{fs, time::Duration};

use super::{
    Address, At, Flag, Layers, Origin, Settings, Sources,
    kind::{Kind, Value, toml_string},
    table::{
        CLUSTER, DATA, DEADLINE, ELECTION_TIMEOUT, HEARTBEAT, HTTP, ID, JOIN, JOURNAL_SEGMENT,
        PRE_VOTE,
    },
};
use crate::{error::Error, node::Node};

/// What the layers of a node say.
#[derive(Clone, Copy, Debug, Default)]
struct Said<'a> {
    flags: &'a [&'a str],
    variables: &'a [(&'a str, &'a str)],
    file: &'a str,
}

impl Said<'_> {
    fn read(self) -> Result<Layers, Vec<String>> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("consensus.toml");
        fs::write(&path, self.file).expect("a file can be written");
        let flag = |text: &&str| Flag::Set((*text).to_owned());
        let sources =
            Sources { file: Some(path.clone()), flags: self.flags.iter().map(flag).collect() };
        let variables = self.variables.iter().map(|(name, value)| (name.into(), value.into()));
        // Wherever the test runs, the file is called what users call it.
        let path = format!("{}", path.display());
        let short = |error: Error| error.message().replace(&path, "consensus.toml");
        sources.read_with(variables).map_err(|errors| errors.into_iter().map(short).collect())
    }

    #[track_caller]
    fn layers(self) -> Layers {
        self.read().expect("the layers can be read")
    }

    /// Returns the only problem.
    #[track_caller]
    fn problem(self) -> String {
        let problems = self.read().expect_err("something is wrong");
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        problem.clone()
    }

    /// Returns the rule that the layers break for a node that is complete.
    #[track_caller]
    fn refusal(self) -> String {
        settings(self.layers()).expect_err("the settings cannot work").message().to_owned()
    }
}

fn settings(mut layers: Layers) -> Result<Settings, Error> {
    layers.set_default(&ID, 1);
    layers.set_default(&DATA, "data".into());
    layers.set_default(&CLUSTER, "test".to_owned());
    Settings::new(layers)
}

fn file(text: &str) -> Said<'_> {
    Said { file: text, ..Said::default() }
}

fn variable<'a>(pair: &'a [(&'a str, &'a str)]) -> Said<'a> {
    Said { variables: pair, ..Said::default() }
}

fn flag<'a>(text: &'a [&'a str]) -> Said<'a> {
    Said { flags: text, ..Said::default() }
}

// Goal: the first layer that has a value gives it, and the value knows where it comes from.
// Method: take the layers away one by one.
#[test]
fn the_first_layer_that_has_a_value_gives_it() {
    let mut said = Said {
        flags: &["heartbeat=20ms"],
        variables: &[("CONSENSUS_HEARTBEAT", "30ms")],
        file: "\n\nheartbeat = \"40ms\"\n",
    };
    let found = |layers: &Layers| {
        let found = layers.find(&HEARTBEAT.key, At::default()).expect("it has a default");
        let Value::Duration(value) = found.value else { panic!("{found:?}") };
        (value.as_millis(), found.origin)
    };
    let mut with_code = said.layers();
    with_code.set(&HEARTBEAT, Duration::from_millis(10)).expect("a heartbeat");
    assert_eq!(found(&with_code), (10, Origin::Code));
    assert_eq!(found(&said.layers()), (20, Origin::Flag("--set".to_owned())));
    said.flags = &[];
    let origin = Origin::Environment("CONSENSUS_HEARTBEAT".to_owned());
    assert_eq!(found(&said.layers()), (30, origin));
    said.variables = &[];
    let (value, origin) = found(&said.layers());
    assert!(matches!(origin, Origin::File { line: 3, .. }), "{origin:?}");
    assert_eq!(value, 40);
    said.file = "";
    assert_eq!(found(&said.layers()), (100, Origin::Default));
    let mut dev = said.layers();
    dev.set_defaults_of_dev();
    assert_eq!(found(&dev), (60, Origin::Default));
}

// Goal: within a layer the closest counts; over layers the layer does.
// Method: say a deadline of all, of a node, of a group, and of groups by a variable.
#[test]
fn the_closest_of_a_layer_counts() {
    let text = "deadline = \"1s\"\n[node.2]\ndeadline = \"2s\"\n\
                [group.my-hits]\ndeadline = \"3s\"\n[group.\"a.b\"]\npre_vote = false\n";
    let deadline = |layers: &Layers, node, group| {
        let found = layers.find(&DEADLINE.key, At { node, group }).expect("it has a default");
        found.value.to_string()
    };
    let layers = file(text).layers();
    assert_eq!(deadline(&layers, Some(1), Some("other")), "1s");
    assert_eq!(deadline(&layers, Some(2), Some("other")), "2s");
    assert_eq!(deadline(&layers, Some(2), Some("my-hits")), "3s");
    assert_eq!(layers.groups(), ["a.b", "my-hits"]);
    let pre_vote = layers.find(&PRE_VOTE.key, At { node: None, group: Some("a.b") });
    assert_eq!(pre_vote.expect("it has a default").value, Value::Switch(false));

    let variables = [("CONSENSUS_GROUP__MY_HITS__DEADLINE", "4s")];
    let layers = Said { variables: &variables, ..file(text) }.layers();
    assert_eq!(deadline(&layers, Some(2), Some("my-hits")), "4s");
    assert_eq!(layers.groups(), ["a.b", "my-hits"], "a variable names a group of the file");
    let layers = Said { flags: &["deadline=5s"], variables: &variables, file: text }.layers();
    assert_eq!(deadline(&layers, Some(2), Some("my-hits")), "5s");
    let layers = flag(&["group.a.b.deadline=6s"]).layers();
    assert_eq!(deadline(&layers, None, Some("a.b")), "6s");
    assert_eq!(variable(&variables).layers().groups(), ["my_hits"]);
}

// Goal: settings of a node and of its groups are read by their types.
// Method: one of each kind, in a file and in the environment.
#[test]
fn values_are_read_by_their_kinds() {
    let text = "id = 0x2\nhttp = \"127.0.0.1:4702\"\ndeadline = \"1m\"\npre_vote = false\n\
                journal = { segment_bytes = \"8MiB\" }\n[peers]\n2 = \"127.0.0.1:4802\"\n\
                \"1\" = \"127.0.0.1:4801\"\n";
    let of_file = settings(file(text).layers()).expect("the settings can work");
    assert_eq!(of_file.id.number(), 2);
    assert_eq!(of_file.peers.len(), 2);
    assert_eq!(of_file.http.map(|http| http.port()), Some(4702));
    assert_eq!(of_file.get(&JOURNAL_SEGMENT).0, 8 << 20);
    assert_eq!(of_file.group("any").get(&DEADLINE), Duration::from_secs(60));
    assert!(!of_file.group("any").get(&PRE_VOTE));
    let variables = [
        ("CONSENSUS_ID", "2"),
        ("CONSENSUS_HTTP", "127.0.0.1:4702"),
        ("CONSENSUS_DEADLINE", "1m"),
        ("CONSENSUS_PRE_VOTE", "false"),
        ("CONSENSUS_JOURNAL__SEGMENT_BYTES", "8388608"),
        ("CONSENSUS_PEERS", "1=127.0.0.1:4801,2=127.0.0.1:4802"),
        ("CONSENSUS_CONFIG", "read before"),
        ("CONSENSUS_SEED", "0x1"),
        ("ANOTHERS_HEARTBEAT", "fast"),
    ];
    let of_variables = settings(variable(&variables).layers()).expect("the settings can work");
    assert_eq!(of_variables.peers, of_file.peers);
    assert_eq!((of_variables.id, of_variables.http), (of_file.id, of_file.http));
    assert_eq!(of_variables.get(&JOURNAL_SEGMENT), of_file.get(&JOURNAL_SEGMENT));
    let peers =
        [("CONSENSUS_PEERS__1", "127.0.0.1:4801"), ("CONSENSUS_PEERS__2", "127.0.0.1:4802")];
    let of_peers = settings(variable(&peers).layers()).expect("the settings can work");
    assert_eq!(of_peers.peers, of_file.peers);
}

// Goal: a list of addresses is a list in a file, and one text elsewhere.
#[test]
fn addresses_are_a_list() {
    let join = |layers: Layers| {
        let found = layers.find(&JOIN.key, At::default()).expect("it was said");
        found.value.to_string()
    };
    assert_eq!(join(file("join = [\"a:1\", \"b:2\"]").layers()), "a:1,b:2");
    assert_eq!(join(file("join = \"a:1,b:2\"").layers()), "a:1,b:2");
    assert_eq!(join(variable(&[("CONSENSUS_JOIN", "a:1,b:2")]).layers()), "a:1,b:2");
    assert_eq!(
        file("join = [\"a:1\", 2]").problem(),
        "consensus.toml:1: join = [\"a:1\", 2] is no list of addresses; write HOST:PORT, as \
         \"127.0.0.1:4801,127.0.0.1:4802\""
    );
}

// Goal: the layer that names one member names all.
// Method: two in the environment, three in the file.
#[test]
fn peers_are_of_one_layer() {
    let text = "[peers]\n1 = \"a:1\"\n2 = \"b:2\"\n3 = \"c:3\"\n";
    let ids = |layers: &Layers| layers.peers().iter().map(|(id, _)| *id).collect::<Vec<_>>();
    assert_eq!(ids(&file(text).layers()), [1, 2, 3]);
    let variables = [("CONSENSUS_PEERS", "1=a:1,4=d:4")];
    assert_eq!(ids(&Said { variables: &variables, ..file(text) }.layers()), [1, 4]);
}

// Goal: what is unknown is refused where it stands, with what was meant.
// Method: slips in each layer, and settings at places where they cannot be.
#[test]
fn what_is_unknown_is_refused_with_a_suggestion() {
    let cases = [
        (
            "cluster = \"a\"\nelection_timeuot = \"1s\"",
            "consensus.toml:2: there is no setting \"election_timeuot\"; did you mean \
             \"election_timeout\"?",
        ),
        (
            "[peer]\n1 = \"a:1\"",
            "consensus.toml:1: there is no setting \"peer\"; did you mean \"peers\"?",
        ),
        (
            "[journal]\nsegment_byte = \"1MiB\"",
            "consensus.toml:2: there is no setting \"journal.segment_byte\"; did you mean \
             \"journal.segment_bytes\"?",
        ),
        (
            "[group.hits]\nhttp = \"a:1\"",
            "consensus.toml:2: \"http\" is a node's, and cannot stand here",
        ),
        (
            "[group]\ndeadline = \"1s\"",
            "consensus.toml:2: what is said of a group stands below its name: group.hits.deadline",
        ),
        ("node = 1", "consensus.toml:1: what is said of a node stands below its id: node.1.http"),
        ("[node.1]\nid = 2", "consensus.toml:2: \"id\" is not said of a single node"),
        ("[node.one]\ndata = \"a\"", "consensus.toml:2: \"one\" is no node id; ids count from 1"),
        (
            "colour = \"red\"",
            "consensus.toml:1: there is no setting \"colour\"; `config show` lists those that \
             there are",
        ),
        (
            "peers = [\"a:1\"]",
            "consensus.toml:1: the peers are a section, [peers], with a line a node: 1 = \
             \"HOST:PORT\"",
        ),
    ];
    for (text, problem) in cases {
        assert_eq!(file(text).problem(), problem);
    }
    assert_eq!(
        variable(&[("CONSENSUS_HEARTBEET", "1s")]).problem(),
        "CONSENSUS_HEARTBEET: there is no setting HEARTBEET; did you mean HEARTBEAT?; whatever \
         begins with CONSENSUS_ is read as a setting, so unset it if it is none"
    );
    assert_eq!(
        flag(&["group.hits.dedline=1s"]).problem(),
        "--set \"group.hits.dedline=1s\": there is no setting \"dedline\"; did you mean \
         \"deadline\"?"
    );
    assert_eq!(
        flag(&["heartbeat"]).problem(),
        "--set \"heartbeat\": write it as KEY=VALUE, as group.hits.deadline=2s"
    );
}

// Goal: what is of the wrong kind is refused where it stands, with how to write it.
// Method: each kind, in each layer.
#[test]
fn what_is_of_the_wrong_kind_is_refused_with_an_example() {
    let cases = [
        (
            "heartbeat = 100",
            "consensus.toml:1: heartbeat = 100 is no duration; write it as \"250ms\", \"2s\" or \
             \"1m\"",
        ),
        ("id = \"one\"", "consensus.toml:1: id = \"one\" is no whole number; write it as 1000"),
        ("id = -1", "consensus.toml:1: id = -1 is no whole number; write it as 1000"),
        ("pre_vote = \"no\"", "consensus.toml:1: pre_vote = \"no\" is neither true nor false"),
        ("data = 1", "consensus.toml:1: data = 1 is no path; write it as \"data\""),
        (
            "[peers]\n1 = 4801",
            "consensus.toml:2: peers.1 = 4801 is no address; write HOST:PORT, as \
             \"127.0.0.1:4801\"",
        ),
        (
            "[journal]\nsegment_bytes = \"8 megabytes\"",
            "consensus.toml:2: journal.segment_bytes = \"8 megabytes\" is no size; write it as \
             \"64MiB\", \"16KiB\" or a number of bytes",
        ),
        (
            "[group.hits.deadline]\nof = \"1s\"",
            "consensus.toml:1: group.hits.deadline = [group.hits.deadline] is no duration; write \
             it as \"250ms\", \"2s\" or \"1m\"",
        ),
        (
            "append_bytes_max = \"2MiB\"",
            "consensus.toml:1: append_bytes_max = \"2MiB\" cannot be: it must fit into a frame; \
             set 1MiB or less, and above zero",
        ),
        (
            "[group.hits]\nproposals_bytes_max = 1024",
            "consensus.toml:2: group.hits.proposals_bytes_max = \"1KiB\" cannot be: the longest \
             command must pass; set 1MiB or more",
        ),
        ("id = 1\nid = 2", "consensus.toml:2: this is no TOML: duplicate key"),
    ];
    for (text, problem) in cases {
        assert_eq!(file(text).problem(), problem);
    }
    assert_eq!(
        variable(&[("CONSENSUS_HEARTBEAT", "fast")]).problem(),
        "CONSENSUS_HEARTBEAT=\"fast\" is no duration; write it as \"250ms\", \"2s\" or \"1m\""
    );
    assert_eq!(
        variable(&[("CONSENSUS_PEERS", "a:1,b:2")]).problem(),
        "CONSENSUS_PEERS=\"a:1\" names no peers; write each as ID=HOST:PORT, as 1=127.0.0.1:4801"
    );
    assert_eq!(
        flag(&["id=0"]).problem(),
        "--set id=0 cannot be: 0 is no node id; ids count from 1"
    );
    assert_eq!(
        file("deadline = \"0s\"").problem(),
        "consensus.toml:1: deadline = \"0s\" cannot be: it must be above zero"
    );
    assert_eq!(
        file("[journal]\nsegment_bytes = \"1MiB\"").problem(),
        "consensus.toml:2: journal.segment_bytes = \"1MiB\" cannot be: the longest record must \
         fit into a segment, and may take 4MiB; set 5MiB or more"
    );
}

// Goal: all that is wrong is told at once, and the first says that there is more.
#[test]
fn all_problems_are_told() {
    let said = Said {
        flags: &["deadline=x"],
        variables: &[("CONSENSUS_HTP", "a:1")],
        file: "one = 1\ntwo = 2\n",
    };
    let problems = said.read().expect_err("something is wrong");
    assert_eq!(problems.len(), 4, "{problems:?}");
    let errors = problems.into_iter().map(|text| Error::new(crate::Code::Config, text));
    let first = super::first(errors.collect());
    assert!(first.message().ends_with("(and 3 more; `config check` lists all)"), "{first}");
}

// Goal: leases are refused without the loyalty that they rest on, or with clocks out of bounds.
#[test]
fn leases_need_loyal_voters_and_a_bound() {
    let variables = [("CONSENSUS_LEASE", "true"), ("CONSENSUS_CHECK_QUORUM", "false")];
    let refusal = variable(&variables).refusal();
    let end = "set CONSENSUS_CHECK_QUORUM to true, or CONSENSUS_LEASE to false";
    assert!(refusal.starts_with("lease is on (CONSENSUS_LEASE) and check_quorum"), "{refusal}");
    assert!(refusal.ends_with(end), "{refusal}");
    let problem = flag(&["clock_drift=51"]).problem();
    assert!(problem.contains("1 to 50 hundredths"), "{problem}");
}

// Goal: a rule that values break names each with its origin, and what to change.
// Method: a heartbeat that is too slow, by what is in each layer.
#[test]
fn a_rule_names_the_origins_of_its_values() {
    let refusal = file("heartbeat = \"400ms\"").refusal();
    let refusal = refusal.split_once("consensus.toml:1").expect("the place is named").1;
    assert_eq!(
        refusal,
        ") is not well below the election timeout of 1s (default): set heartbeat to 333ms or less, \
         or --election-timeout to 1200ms or more"
    );
    let variables = [("CONSENSUS_ELECTION_TIMEOUT", "150ms")];
    assert_eq!(
        variable(&variables).refusal(),
        "a heartbeat every 100ms (default) is not well below the election timeout of 150ms \
         (CONSENSUS_ELECTION_TIMEOUT): set --heartbeat to 50ms or less, or \
         CONSENSUS_ELECTION_TIMEOUT to 300ms or more"
    );
    let mut layers = Layers::default();
    layers.set(&HEARTBEAT, Duration::ZERO).expect("zero is a duration");
    let error = settings(layers).expect_err("a heartbeat of zero");
    assert_eq!(error.message(), "a heartbeat of zero (code) would send without end; set heartbeat");
}

// Goal: what code says of a group goes before all, and is checked as all is.
#[test]
fn code_says_what_counts_for_its_group() {
    let said = Said { flags: &["group.hits.deadline=2s"], ..Said::default() };
    let mut settings = settings(said.layers()).expect("the settings can work");
    let mut code = Layers::default();
    code.set_of_group("hits", &DEADLINE, Duration::from_secs(9)).expect("a deadline");
    settings.add("hits", code).expect("the settings can work");
    assert_eq!(settings.group("hits").get(&DEADLINE), Duration::from_secs(9));
    assert_eq!(settings.group("kv").get(&DEADLINE), Duration::from_secs(5));
    let shown = settings.json();
    let shown = shown["settings"].as_array().expect("settings");
    let deadline = shown.iter().find(|setting| setting["key"] == "group.hits.deadline");
    assert_eq!(
        deadline,
        Some(&serde_json::json!({
            "key": "group.hits.deadline", "section": ["group", "hits"], "name": "deadline",
            "value": "9s", "layer": "code", "origin": "code",
        }))
    );
    let zero = Layers::default().set_of_group("hits", &DEADLINE, Duration::ZERO);
    assert!(zero.is_err(), "a deadline of zero");
}

// Goal: what the type of a state says counts for its groups if no layer says otherwise, and is
// refused by its place.
#[test]
fn a_type_says_what_counts_if_nothing_else_does() {
    let deadline = |said: Said<'_>, group| {
        let mut layers = said.layers();
        layers.set_of_type("hits", &[("deadline", "3s"), ("pre_vote", "false")]).expect("settings");
        let found = layers.find(&DEADLINE.key, At { node: None, group: Some(group) });
        let found = found.expect("it has a default");
        (found.value.to_string(), found.origin)
    };
    assert_eq!(deadline(Said::default(), "hits"), ("3s".to_owned(), Origin::Attribute));
    assert_eq!(deadline(Said::default(), "kv"), ("5s".to_owned(), Origin::Default));
    assert_eq!(deadline(file("deadline = \"4s\""), "hits").0, "4s");
    let refused = |name, text| {
        let refused = Layers::default().set_of_type("hits", &[(name, text)]);
        refused.expect_err("it cannot be").message().to_owned()
    };
    assert_eq!(
        refused("deadline", "x"),
        "#[replica(settings(deadline = \"x\"))] is no duration; write it as \"250ms\", \"2s\" or \
         \"1m\""
    );
    assert_eq!(
        refused("dedline", "1s"),
        "#[replica(settings(dedline = ..))]: there is no setting \"dedline\"; did you mean \
         \"deadline\"?"
    );
    assert_eq!(
        refused("http", "127.0.0.1:1"),
        "#[replica(settings(http = ..))]: \"http\" is a node's, and cannot stand here"
    );
}

// Goal: a program's own `main` reads a file only if it asks for it, and what it sets goes before.
#[test]
fn a_builder_takes_a_file_below_what_it_sets() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("mine.toml");
    let text = "id = 7\nelection_timeout = \"2s\"\nheartbeat = \"200ms\"\n";
    fs::write(&path, text).expect("a file can be written");
    let builder = || Node::builder().heartbeat(Duration::from_millis(50));
    let alone = builder().validate().expect("the settings can work");
    assert_eq!(alone.id.number(), 1);
    assert_eq!(alone.get(&ELECTION_TIMEOUT), Duration::from_secs(1));
    let with_file = builder().file(&path).and_then(|builder| builder.validate());
    let with_file = with_file.expect("the settings can work");
    assert_eq!(with_file.id.number(), 7);
    assert_eq!(with_file.get(&ELECTION_TIMEOUT), Duration::from_secs(2));
    assert_eq!(with_file.get(&HEARTBEAT), Duration::from_millis(50));
    let refused = builder().cluster("").validate().expect_err("a cluster has a name");
    assert_eq!(refused.message(), "cluster = \"\" cannot be: it must not be empty");
    assert!(builder().file(dir.path().join("none")).is_err());
}

// Goal: what is shown of a value reads as that value.
// Method: awkward values of each kind, through TOML.
#[test]
fn what_is_shown_can_be_read() {
    for text in ["", "plain", "a \"quote\" and \\", "tab\there", "ü \u{1}"] {
        let said = format!("cluster = {}", toml_string(text));
        match file(&said).read() {
            Ok(layers) => {
                let found = layers.find(&CLUSTER.key, At::default()).expect("it was said");
                assert_eq!(found.value, Value::Text(text.to_owned()));
            }
            Err(problems) => assert_eq!(text, "", "{problems:?}"),
        }
    }
    for (kind, text) in [
        (Kind::Duration, "90s"),
        (Kind::Duration, "250ms"),
        (Kind::Size, "3KiB"),
        (Kind::Size, "1GiB"),
        (Kind::Size, "1023B"),
        (Kind::Size, "0"),
        (Kind::Count, "18446744073709551615"),
        (Kind::Switch, "true"),
    ] {
        assert_eq!(kind.read(text).map(|value| value.to_string()).as_deref(), Some(text));
    }
    for (kind, text) in [
        (Kind::Duration, "250"),
        (Kind::Size, "64MB"),
        (Kind::Size, "MiB"),
        (Kind::Size, "99999999999999GiB"),
        (Kind::Count, "1e3"),
        (Kind::Switch, "yes"),
    ] {
        assert_eq!(kind.read(text), None, "{text}");
    }
    let mut layers = Layers::default();
    layers.set(&HTTP, Address("127.0.0.1:1".to_owned())).expect("an address");
    let found = layers.find(&HTTP.key, At::default()).expect("it was set");
    assert_eq!(found.value.to_string(), "127.0.0.1:1");
}
