//! How old requests say that their sagas are, which is what participants forget by.

use super::*;

/// Draws numbers, the same for the same seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

// Goal: a request says that the sagas before a place have ended when that is durable, and never
// before: the next executor may have to go on with them. It does say so in the end.
// Method: sagas whose requests are answered, lost and repeated in any order, while writes are under
// way for as long as it happens.
#[test]
fn what_has_ended_is_said_once_it_is_durable() {
    let mut latest = 0;
    for seed in 0..200 {
        let (mut stage, mut draw) = (Stage::new(true), Draw(seed));
        for number in 1..5 {
            assert_eq!(stage.begin(SagaId(number), draw.below(3) == 0), Reply::Begun(Ok(())));
        }
        let (mut reign, mut asked, mut writing) = (stage.claim(), Vec::new(), false);
        for _ in 0..400 {
            for attempt in reign.take_attempts() {
                let Age { place, oldest } = attempt.cx.request().age;
                assert!(place >= oldest);
                latest = oldest.0.max(latest);
                for before in (1..oldest.0).map(|number| SagaId(u128::from(number))) {
                    let Answer::Row(Some(row)) = stage.book.answer(Query::Look(before)) else {
                        panic!("{before:?} began")
                    };
                    let has_ended = matches!(row.standing, Standing::Ended(_));
                    assert!(has_ended, "seed {seed}: {before:?} is {:?}", row.standing);
                }
                asked.push(attempt);
            }
            match draw.below(4) {
                0 if writing => {
                    reign.written(stage.now);
                    writing = false;
                }
                0 => {
                    if let Some(facts) = reign.next_write() {
                        // Who writes knows of it only later.
                        assert_eq!(stage.write(reign.epoch, facts), Ok(()));
                        writing = true;
                    }
                }
                1 => {
                    stage.now = stage.now + Duration::from_millis(500);
                    reign.tick(stage.now);
                }
                _ if asked.is_empty() => {}
                lost => {
                    let attempt = asked.remove(draw.below(asked.len()));
                    let call = attempt.call.clone();
                    let came = stage.run(attempt);
                    let came = if lost == 2 && draw.below(3) == 0 { Came::Unknown } else { came };
                    reign.replied(&call, came, stage.now);
                }
            }
        }
    }
    assert_eq!(latest, 4, "the last saga outlives the others in some run");
}
