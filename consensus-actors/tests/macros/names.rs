//! Names on the wire and conditional methods.

use consensus_actors::{Command, Replicated as _, prelude::*};
use serde_json::json;

use crate::{answer, apply, apply_at, names};

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(settings(deadline = "2s", pre_vote = false, many = 1_000))]
struct HTTPLog {
    lines: Vec<String>,
}

#[replicated(messages = "requests", crate = "::consensus_actors")]
impl HTTPLog {
    #[command(name = "append")]
    fn push(
        &mut self,
        r#type: String,
        mut count: u32,
        #[arg(default)] note: Option<String>,
    ) -> u64 {
        while count > 0 {
            self.lines.push(r#type.clone());
            count -= 1;
        }
        self.lines.extend(note);
        self.lines.len() as u64
    }

    #[command]
    fn r#move(&mut self) {}

    #[query(name = "length", read = linearizable)]
    fn len(&self) -> u64 {
        self.lines.len() as u64
    }
}

// Names on the wire are the author's, without `r#`; an argument with a default may be missing.
#[test]
fn names_and_defaults_are_chosen() {
    let mut log = HTTPLog::default();
    assert_eq!(HTTPLog::NAME, "http_log");
    let settings = [("deadline", "2s"), ("pre_vote", "false"), ("many", "1000")];
    assert_eq!(HTTPLog::SETTINGS, settings);
    assert_eq!(names(HTTPLog::INTERFACE), (vec!["append", "move"], vec!["length"]));
    assert_eq!(apply(&mut log, json!({"append": {"type": "GET", "count": 2}})), json!(2));
    let noted = json!({"append": {"type": "GET", "count": 1, "note": "slow"}});
    assert_eq!(apply(&mut log, noted), json!(4));
    assert_eq!(answer(&log, json!({"length": {}})), json!(4));
    let _ = requests::Push { r#type: "GET".into(), count: 1, note: None };
    assert_eq!(<requests::Move as Command>::NAME, "move");
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Replicated)]
enum Light {
    #[default]
    Red,
    Green {
        since: u64,
    },
}

#[replicated]
impl Light {
    #[command]
    fn switch(&mut self, cx: &mut Cx) -> Self {
        *self = match self {
            Self::Red => Self::Green { since: cx.index() },
            Self::Green { .. } => Self::Red,
        };
        self.clone()
    }

    #[cfg(not(test))]
    #[command]
    fn never(&mut self, absent: DoesNotExist) {}

    #[cfg(test)]
    #[query]
    fn always(&self) -> bool {
        true
    }
}

// An enum is a state too, and a method that is configured away takes along what is made of it.
#[test]
fn enums_and_conditional_methods_work() {
    let mut light = Light::default();
    assert_eq!(apply_at(4, &mut light, json!({"switch": {}})), json!({"Green": {"since": 4}}));
    assert_eq!(names(Light::INTERFACE), (vec!["switch"], vec!["always"]));
}
