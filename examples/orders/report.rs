//! What came of a run, for people.

use std::{collections::BTreeMap, time::Duration};

use comfy_table::{CellAlignment, Table, presets};

use crate::{
    audit::{Books, Ending, Told},
    layout::Service,
    orders::Standing,
    say,
};

/// How many flaws are named.
const FLAWS_MAX: usize = 50;

/// How often processes were killed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kills {
    by_service: BTreeMap<Service, u32>,
    /// How many of them carried out the sagas.
    led: u32,
}

impl Kills {
    pub(crate) fn add(&mut self, service: Service, led: bool) {
        *self.by_service.entry(service).or_default() += 1;
        self.led += u32::from(led);
    }

    fn of(&self, service: Service) -> u32 {
        self.by_service.get(&service).copied().unwrap_or_default()
    }
}

/// What came of a run.
pub(crate) struct Report<'a> {
    pub(crate) told: &'a BTreeMap<String, Told>,
    pub(crate) books: &'a Books,
    pub(crate) kills: &'a Kills,
    pub(crate) flaws: &'a [String],
    pub(crate) duration: Duration,
    /// How often customers had to ask again.
    pub(crate) repeats: u32,
    /// Whether shipping keeps its parcels in a database.
    pub(crate) in_database: bool,
}

/// What a service was asked for, has done and undone, and what is left of it.
struct Sum {
    asked: u64,
    done: u64,
    undone: u64,
    units: Option<u64>,
    cents: Option<u64>,
}

impl Report<'_> {
    pub(crate) fn print(&self) {
        say("");
        say(self.sagas());
        say("");
        say(self.services());
        if self.flaws.is_empty() {
            return say("the books agree, order by order");
        }
        for flaw in self.flaws.iter().take(FLAWS_MAX) {
            say(format_args!("flaw: {flaw}"));
        }
        say(format_args!("the books disagree: {} flaws", self.flaws.len()));
    }

    fn sagas(&self) -> Table {
        let count = |is: fn(&Ending) -> bool| {
            self.told.values().filter(|told| is(&told.ending)).count().to_string()
        };
        let mut causes: BTreeMap<&str, u32> = BTreeMap::new();
        for told in self.told.values() {
            if let Ending::Compensated { cause } = &told.ending {
                *causes.entry(cause).or_default() += 1;
            }
        }
        let causes: Vec<String> =
            causes.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        let (kills, led) = (self.kills.by_service.values().sum::<u32>(), self.kills.led);
        let mut table = plain();
        table.add_row(["orders placed", &self.told.len().to_string(), ""]);
        let completed = count(|ending| matches!(ending, Ending::Completed { .. }));
        table.add_row(["completed", &completed, ""]);
        let compensated = count(|ending| matches!(ending, Ending::Compensated { .. }));
        table.add_row(["compensated", &compensated, &causes.join(", ")]);
        let stuck = count(|ending| matches!(ending, Ending::Stuck { .. }));
        table.add_row(["stuck", &stuck, ""]);
        let unknown = count(|ending| matches!(ending, Ending::Unknown { .. }));
        table.add_row(["unknown", &unknown, ""]);
        table.add_row(["asked again", &self.repeats.to_string(), ""]);
        table.add_row(["kills", &kills.to_string(), &format!("{led} of who led the sagas")]);
        let seconds = format!("{:.1}", self.duration.as_secs_f64());
        table.add_row(["duration", &seconds, "seconds"]);
        align(&mut table, 1..2);
        table
    }

    fn services(&self) -> Table {
        let mut table = plain();
        let header = ["SERVICE", "KILLS", "ASKED", "DONE", "UNDONE", "UNITS", "CENTS", "STATE IN"];
        table.set_header(header);
        let text = |number: Option<u64>| number.map(|it| it.to_string()).unwrap_or_default();
        for service in Service::ALL {
            let Sum { asked, done, undone, units, cents } = self.sum(service);
            let name = service.name().to_owned();
            let counts = [self.kills.of(service).into(), asked, done, undone];
            let [kills, asked, done, undone] = counts.map(|count: u64| count.to_string());
            let store = match (service, self.in_database) {
                (Service::Shipping, true) => "PostgreSQL",
                _ => "actor",
            };
            let (units, cents) = (text(units), text(cents));
            table.add_row([name, kills, asked, done, undone, units, cents, store.to_owned()]);
        }
        align(&mut table, 1..7);
        table
    }

    /// Adds up a service's book.
    fn sum(&self, service: Service) -> Sum {
        let books = self.books;
        match service {
            Service::Orders => {
                let is = |standing| {
                    books.orders.lines.values().filter(move |it| it.standing == standing)
                };
                let kept = || is(Standing::Confirmed).map(|order| &order.purchase);
                Sum {
                    asked: books.orders.asked,
                    done: is(Standing::Confirmed).count() as u64,
                    undone: is(Standing::Cancelled).count() as u64,
                    units: Some(kept().map(|purchase| u64::from(purchase.quantity)).sum()),
                    cents: Some(kept().map(|purchase| purchase.cents).sum()),
                }
            }
            Service::Payment => {
                let charges = || books.payment.lines.values();
                let (charged, refunded): (u64, u64) = charges()
                    .map(|charge| (charge.charged, charge.refunded))
                    .fold((0, 0), |(all, back), (charged, refunded)| {
                        (all + charged, back + refunded)
                    });
                Sum {
                    asked: books.payment.asked,
                    done: charges().map(|charge| u64::from(charge.charges)).sum(),
                    undone: charges().map(|charge| u64::from(charge.refunds)).sum(),
                    units: None,
                    cents: Some(charged.saturating_sub(refunded)),
                }
            }
            Service::Stock => {
                let takings = || books.stock.takings.lines.values();
                let taken: u64 = takings().map(|taking| taking.taken).sum();
                let returned: u64 = takings().map(|taking| taking.returned).sum();
                Sum {
                    asked: books.stock.takings.asked,
                    done: takings().map(|taking| u64::from(taking.takes)).sum(),
                    undone: takings().map(|taking| u64::from(taking.returns)).sum(),
                    units: Some(taken.saturating_sub(returned)),
                    cents: None,
                }
            }
            Service::Shipping => Sum {
                asked: books.shipping.asked,
                done: books.shipping.lines.values().map(|parcel| u64::from(parcel.parcels)).sum(),
                undone: 0,
                units: Some(books.shipping.lines.values().map(|parcel| parcel.units).sum()),
                cents: None,
            },
        }
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn align(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in table.column_iter_mut().skip(columns.start).take(columns.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
