//! Which runs a test has, and that they are played.

use std::collections::{BTreeMap, BTreeSet};

use consensus_core::saga::{Class, Op, Seq};

use super::{
    case::Case,
    profile::Profile,
    report::{Broken, Report, Trial},
    script::{Course, Fault, Script, attempts_max},
    stage::play,
};

/// The most runs of a kind in the test of a saga; what is beyond is left out evenly.
///
/// A saga of `n` steps has up to `3n` runs in which a step fails, and two for each step that can be
/// undone. Of requests that are repeated, of replies that are lost and of records behind which there
/// is a crash there are some `n` for each step that is refused. So sagas of a dozen steps have all
/// of their runs, and the kinds that name each step have them always.
pub const RUNS_MAX: usize = 1_024;

/// The runs of a test.
pub(super) struct Runs<'a> {
    case: &'a Case,
    /// How the runs went that others are derived from.
    profiles: BTreeMap<Course, Profile>,
    played: u64,
    report: Report,
}

/// Plays all runs of these kinds.
///
/// # Errors
/// [`Broken`] with the first that is not as it must be.
pub(super) async fn play_all(case: &Case, trials: &BTreeSet<Trial>) -> Result<Report, Broken> {
    let report = Report::new(case.graph.to_string());
    let mut runs = Runs { case, profiles: BTreeMap::new(), played: 0, report };
    runs.profile(Course::Plain).await?;
    runs.report.add(Trial::Plain, (1, 0));
    for trial in trials {
        let scripts = match trial {
            Trial::Plain => continue,
            Trial::FailEachStep => runs.failing(),
            Trial::RepeatEachStep => runs.repeating().await?,
            Trial::LoseEachReply => runs.losing().await?,
            Trial::CrashAfterEachRecord => runs.crashing().await?,
            Trial::FailEachUndo => runs.undoing().await?,
        };
        let all = scripts.len();
        let scripts = thinned(scripts, RUNS_MAX);
        runs.report.add(*trial, (scripts.len(), all - scripts.len()));
        for script in scripts {
            runs.play(script).await?;
        }
    }
    Ok(runs.report)
}

impl Runs<'_> {
    /// Plays a run, unless it was played as a course already.
    async fn play(&mut self, script: Script) -> Result<(), Broken> {
        if script.fault == Fault::None {
            return self.profile(script.course).await.map(drop);
        }
        self.play_now(script).await.map(drop)
    }

    async fn play_now(&mut self, script: Script) -> Result<Profile, Broken> {
        self.played += 1;
        play(self.case, script, self.played).await
    }

    /// Returns how a run goes in which nothing but a step goes wrong.
    async fn profile(&mut self, course: Course) -> Result<Profile, Broken> {
        if let Some(profile) = self.profiles.get(&course) {
            return Ok(profile.clone());
        }
        let profile = self.play_now(Script { course, ..Script::PLAIN }).await?;
        self.profiles.insert(course, profile.clone());
        Ok(profile)
    }

    /// Each step, which is refused, or not reached, or not heard of.
    fn failing(&self) -> Vec<Script> {
        let graph = &self.case.graph;
        let courses = graph.steps().flat_map(|(step, _)| {
            [Course::Refused(step), Course::Missing(step), Course::Unheard(step)]
        });
        courses.map(|course| Script { course, ..Script::PLAIN }).collect()
    }

    /// Each request of each course twice.
    async fn repeating(&mut self) -> Result<Vec<Script>, Broken> {
        let mut scripts = Vec::new();
        for course in self.courses().await? {
            let profile = self.profile(course).await?;
            let faults = profile.requests.iter().map(|(effect, _)| Fault::Twice(*effect));
            scripts.extend(faults.map(|fault| Script { course, fault }));
        }
        Ok(scripts)
    }

    /// Each reply of each course that is heard, where its step is asked for again.
    async fn losing(&mut self) -> Result<Vec<Script>, Broken> {
        let mut scripts = Vec::new();
        for course in self.courses().await? {
            let profile = self.profile(course).await?;
            for (effect, is_heard) in profile.requests {
                if is_heard && attempts_max(&self.case.graph, effect.0) > 1 {
                    scripts.push(Script { course, fault: Fault::Lost(effect) });
                }
            }
        }
        Ok(scripts)
    }

    /// Each record of each course, with what was asked for by then lost, or carried out.
    async fn crashing(&mut self) -> Result<Vec<Script>, Broken> {
        let mut scripts = Vec::new();
        for course in self.courses().await? {
            let profile = self.profile(course).await?;
            for (after, asks) in (1..).map(Seq).zip(profile.records) {
                for delivers in [false, true] {
                    if asks || !delivers {
                        let fault = Fault::Crash { after, delivers };
                        scripts.push(Script { course, fault });
                    }
                }
            }
        }
        Ok(scripts)
    }

    /// Each compensation, which is refused, or not heard of.
    async fn undoing(&mut self) -> Result<Vec<Script>, Broken> {
        let course = self.turning().await?;
        let steps = self.case.graph.steps();
        let undone = steps.filter(|(_, step)| step.class == Class::Compensatable);
        let faults =
            undone.flat_map(|(step, _)| [Fault::UndoRefused(step), Fault::UndoUnheard(step)]);
        Ok(faults.map(|fault| Script { course, fault }).collect())
    }

    /// Returns the courses in which other things go wrong: the plain one, those in which a step is
    /// refused before all is decided, and the one in which everything is undone.
    async fn courses(&mut self) -> Result<Vec<Course>, Broken> {
        let turning = self.turning().await?;
        let steps = self.case.graph.steps();
        let refused = steps.filter(|(_, step)| step.class != Class::Retriable);
        let mut courses = vec![Course::Plain];
        courses.extend(refused.map(|(step, _)| Course::Refused(step)));
        if !courses.contains(&turning) {
            courses.push(turning);
        }
        Ok(courses)
    }

    /// Returns the course in which everything is done that can be undone, and then undone.
    async fn turning(&mut self) -> Result<Course, Broken> {
        if let Some(pivot) = self.case.graph.pivot() {
            return Ok(Course::Refused(pivot));
        }
        let plain = self.profile(Course::Plain).await?;
        let mut actions = plain.requests.iter().filter(|((_, op), _)| *op == Op::Action);
        let ((last, _), _) = actions.next_back().expect("a saga that completes has asked");
        let class = self.case.graph.step(*last).map(|step| step.class);
        let is_undone = class == Some(Class::Compensatable);
        Ok(if is_undone { Course::Unheard(*last) } else { Course::Refused(*last) })
    }
}

/// Returns at most so many of them, evenly spread, with the first and the last.
fn thinned(scripts: Vec<Script>, most: usize) -> Vec<Script> {
    let all = scripts.len();
    if all <= most {
        return scripts;
    }
    (0..most).filter_map(|at| scripts.get(at * (all - 1) / (most - 1)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use consensus_core::saga::StepId;

    use super::*;

    // Goal: of too many runs as many are left as may be, from the first to the last, each once.
    #[test]
    fn runs_are_left_out_evenly() {
        let scripts = |count: u16| -> Vec<Script> {
            let steps = (0..count).map(StepId);
            steps.map(|step| Script { course: Course::Refused(step), ..Script::PLAIN }).collect()
        };
        for count in [0, 1, 9, 10] {
            assert_eq!(thinned(scripts(count), 10), scripts(count));
        }
        for count in [11, 19, 20, 1_000] {
            let (left, all) = (thinned(scripts(count), 10), scripts(count));
            assert_eq!((left.len(), left[0], left[9]), (10, all[0], all[all.len() - 1]));
            let places = left.iter().map(|script| all.iter().position(|it| it == script).unwrap());
            let places: Vec<usize> = places.collect();
            let widths = places.windows(2).map(|two| two[1] - two[0]);
            let (least, most) = (widths.clone().min().unwrap(), widths.max().unwrap());
            assert!(least > 0 && most - least <= 1, "{places:?}");
        }
    }
}
