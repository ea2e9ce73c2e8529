//! Whether the books of all services agree with what customers were told, order by order.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    book::Book,
    checkout::Purchase,
    orders::{Order, Standing},
    payment::Charge,
    shipping::Parcel,
    stock::{Inventory, Taking},
};

/// What a customer wanted, and was told in the end.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) purchase: Purchase,
    pub(crate) ending: Ending,
}

/// How a checkout ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Completed {
        parcel: String,
    },
    /// It was undone, for this reason.
    Compensated {
        cause: String,
    },
    /// It waits for an operator, for this reason.
    Stuck {
        cause: String,
    },
    /// Nobody was told within the time there was.
    Unknown {
        last: String,
    },
}

/// The books of all services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub(crate) orders: Book<Order>,
    pub(crate) payment: Book<Charge>,
    pub(crate) stock: Inventory,
    pub(crate) shipping: Book<Parcel>,
}

/// Returns a sentence for everything in which the books disagree with what customers were told, or
/// with each other; `shelf` is how many units of each sku there were at first.
pub(crate) fn audit(told: &BTreeMap<String, Told>, books: &Books, shelf: u32) -> Vec<String> {
    let mut flaws = Vec::new();
    for (id, told) in told {
        for flaw in of_order(told, books, id) {
            flaws.push(format!("{id}: {flaw}"));
        }
    }
    let known = [
        books.orders.lines.keys().collect::<BTreeSet<_>>(),
        books.payment.lines.keys().collect(),
        books.stock.takings.lines.keys().collect(),
        books.shipping.lines.keys().collect(),
    ];
    for id in known.into_iter().flatten().collect::<BTreeSet<_>>() {
        if !told.contains_key(id) {
            flaws.push(format!("{id}: nobody has ordered that"));
        }
    }
    flaws.extend(of_shelf(&books.stock, shelf));
    flaws
}

/// Judges all that is written of one order.
fn of_order(told: &Told, books: &Books, id: &str) -> Vec<String> {
    let nothing = (Charge::default(), Taking::default(), Parcel::default());
    let charge = books.payment.lines.get(id).unwrap_or(&nothing.0);
    let taking = books.stock.takings.lines.get(id).unwrap_or(&nothing.1);
    let parcel = books.shipping.lines.get(id).unwrap_or(&nothing.2);
    let order = books.orders.lines.get(id);
    let purchase = &told.purchase;
    let found = match &told.ending {
        Ending::Completed { parcel: number } => [
            is_confirmed(order, number),
            is_paid(charge, purchase.cents),
            is_taken(taking, purchase),
            is_sent(parcel, purchase, number),
        ],
        Ending::Compensated { .. } => [
            is_cancelled(order),
            is_given_back(charge, purchase.cents),
            is_put_back(taking, purchase),
            (*parcel != nothing.2).then(|| format!("undone, and yet sent: {parcel:?}")),
        ],
        Ending::Stuck { cause } => [Some(format!("stuck: {cause}")), None, None, None],
        Ending::Unknown { last } => {
            [Some(format!("nobody knows how it ended: {last}")), None, None, None]
        }
    };
    let mut flaws: Vec<String> = found.into_iter().flatten().collect();
    if order.is_some_and(|order| order.purchase != told.purchase) {
        flaws.push(format!("another order stands in the book: {order:?}"));
    }
    flaws
}

fn is_confirmed(order: Option<&Order>, number: &str) -> Option<String> {
    let Some(order) = order else { return Some("completed, and not in the book".to_owned()) };
    let counts = (order.placed, order.confirmed, order.cancelled);
    let is_right = counts == (1, 1, 0)
        && order.standing == Standing::Confirmed
        && order.parcel.as_deref() == Some(number);
    (!is_right).then(|| format!("completed, and in the book as {order:?}"))
}

fn is_cancelled(order: Option<&Order>) -> Option<String> {
    // One that was turned back before it was ever placed is in no book.
    let order = order?;
    let counts = (order.placed, order.confirmed, order.cancelled);
    let is_right = counts == (1, 0, 1) && order.standing == Standing::Cancelled;
    (!is_right).then(|| format!("undone, and in the book as {order:?}"))
}

fn is_paid(charge: &Charge, cents: u64) -> Option<String> {
    let once = Charge { charges: 1, charged: cents, refunds: 0, refunded: 0 };
    (*charge != once).then(|| format!("to be charged {cents} cents once, and {charge:?}"))
}

fn is_given_back(charge: &Charge, cents: u64) -> Option<String> {
    let back = Charge { charges: 1, charged: cents, refunds: 1, refunded: cents };
    let is_right = *charge == Charge::default() || *charge == back;
    (!is_right).then(|| format!("to be given back {cents} cents, if charged, and {charge:?}"))
}

fn is_taken(taking: &Taking, Purchase { sku, quantity, .. }: &Purchase) -> Option<String> {
    let (sku, taken) = (sku.clone(), u64::from(*quantity));
    let once = Taking { sku, takes: 1, taken, returns: 0, returned: 0 };
    (*taking != once).then(|| format!("to be taken from the shelf as {once:?}, and {taking:?}"))
}

fn is_put_back(taking: &Taking, Purchase { sku, quantity, .. }: &Purchase) -> Option<String> {
    let (sku, taken) = (sku.clone(), u64::from(*quantity));
    let back = Taking { sku, takes: 1, taken, returns: 1, returned: taken };
    let is_right = *taking == Taking::default() || *taking == back;
    (!is_right).then(|| format!("to be put back as {back:?}, if taken, and {taking:?}"))
}

fn is_sent(parcel: &Parcel, purchase: &Purchase, number: &str) -> Option<String> {
    let (sku, units) = (purchase.sku.clone(), u64::from(purchase.quantity));
    let once = Parcel { number: number.to_owned(), sku, parcels: 1, units };
    (*parcel != once).then(|| format!("to be sent as {once:?}, and {parcel:?}"))
}

/// Judges whether what is left is what was there at first without what was taken.
fn of_shelf(stock: &Inventory, shelf: u32) -> Vec<String> {
    let mut gone: BTreeMap<&str, u64> = BTreeMap::new();
    let mut flaws = Vec::new();
    for Taking { sku, taken, returned, .. } in stock.takings.lines.values() {
        *gone.entry(sku).or_default() += taken.saturating_sub(*returned);
    }
    for (sku, left) in &stock.left {
        let gone = gone.remove(&**sku).unwrap_or_default();
        if u64::from(*left) + gone != u64::from(shelf) {
            flaws.push(format!("{sku}: of {shelf} units {gone} were taken, and {left} are left"));
        }
    }
    flaws.extend(gone.into_keys().map(|sku| format!("{sku}: taken, and not sold")));
    flaws
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELF: u32 = 10;

    fn book<T, const N: usize>(lines: [(&str, T); N]) -> Book<T> {
        Book { asked: 0, lines: lines.map(|(id, line)| (id.to_owned(), line)).into() }
    }

    /// Returns two orders, one completed and one undone after all but the parcel, and books that
    /// agree with that.
    fn agreeing() -> (BTreeMap<String, Told>, Books) {
        let purchase = |quantity, cents| Purchase {
            customer: "ada".to_owned(),
            sku: "tea".to_owned(),
            quantity,
            cents,
        };
        let (kept, undone) = (purchase(2, 500), purchase(3, 700));
        let order = |purchase: &Purchase, standing, (confirmed, cancelled)| Order {
            purchase: purchase.clone(),
            standing,
            parcel: (confirmed > 0).then(|| "parcel-1".to_owned()),
            saga: "00".to_owned(),
            placed: 1,
            confirmed,
            cancelled,
        };
        let charge = |charged, refunds, refunded| Charge { charges: 1, charged, refunds, refunded };
        let taking = |taken, returns, returned| Taking {
            sku: "tea".to_owned(),
            takes: 1,
            taken,
            returns,
            returned,
        };
        let parcel =
            Parcel { number: "parcel-1".to_owned(), sku: "tea".to_owned(), parcels: 1, units: 2 };
        let books = Books {
            orders: book([
                ("kept", order(&kept, Standing::Confirmed, (1, 0))),
                ("undone", order(&undone, Standing::Cancelled, (0, 1))),
            ]),
            payment: book([("kept", charge(500, 0, 0)), ("undone", charge(700, 1, 700))]),
            stock: Inventory {
                left: [("tea".to_owned(), 8)].into(),
                takings: book([("kept", taking(2, 0, 0)), ("undone", taking(3, 1, 3))]),
            },
            shipping: book([("kept", parcel)]),
        };
        let completed = Ending::Completed { parcel: "parcel-1".to_owned() };
        let compensated = Ending::Compensated { cause: "declined by the bank".to_owned() };
        let told = [
            ("kept".to_owned(), Told { purchase: kept, ending: completed }),
            ("undone".to_owned(), Told { purchase: undone, ending: compensated }),
        ];
        (told.into(), books)
    }

    // Goal: books that agree are found to agree, also where a checkout was turned back before a
    // service heard of it.
    // Method: the books of two orders, and again without every line of the one that was undone.
    #[test]
    fn books_that_agree_have_no_flaw() {
        let (told, books) = agreeing();
        assert_eq!(audit(&told, &books, SHELF), Vec::<String>::new());
        for forget in [
            |books: &mut Books| drop(books.orders.lines.remove("undone")),
            |books: &mut Books| drop(books.payment.lines.remove("undone")),
            |books: &mut Books| drop(books.stock.takings.lines.remove("undone")),
        ] {
            let mut books = books.clone();
            forget(&mut books);
            assert_eq!(audit(&told, &books, SHELF), Vec::<String>::new());
        }
    }

    /// A way in which books go wrong, and the order or sku that is to be named.
    type Wrong = (&'static str, fn(&mut Books));

    // Goal: each way in which books can disagree is found, though the sums may be right, and said
    // of the order that it is about.
    // Method: books that agree with one thing changed, each in turn.
    #[test]
    fn every_disagreement_is_found() {
        let ways: [Wrong; 21] = [
            ("kept", |books| drop(books.orders.lines.remove("kept"))),
            ("kept", |books| drop(books.payment.lines.remove("kept"))),
            ("kept", |books| drop(books.shipping.lines.remove("kept"))),
            ("kept", |books| {
                books.orders.lines.get_mut("kept").unwrap().standing = Standing::Placed
            }),
            ("kept", |books| books.orders.lines.get_mut("kept").unwrap().confirmed = 2),
            ("kept", |books| books.orders.lines.get_mut("kept").unwrap().placed = 2),
            ("kept", |books| books.orders.lines.get_mut("kept").unwrap().parcel = None),
            ("kept", |books| books.orders.lines.get_mut("kept").unwrap().purchase.cents = 501),
            ("kept", |books| books.payment.lines.get_mut("kept").unwrap().charges = 2),
            ("kept", |books| books.payment.lines.get_mut("kept").unwrap().charged = 501),
            ("kept", |books| books.payment.lines.get_mut("kept").unwrap().refunds = 1),
            ("kept", |books| books.stock.takings.lines.get_mut("kept").unwrap().takes = 2),
            ("kept", |books| books.shipping.lines.get_mut("kept").unwrap().parcels = 2),
            ("kept", |books| books.shipping.lines.get_mut("kept").unwrap().units = 3),
            ("undone", |books| books.orders.lines.get_mut("undone").unwrap().cancelled = 0),
            ("undone", |books| books.payment.lines.get_mut("undone").unwrap().refunded = 699),
            ("undone", |books| books.stock.takings.lines.get_mut("undone").unwrap().returns = 0),
            ("undone", |books| {
                books
                    .shipping
                    .lines
                    .insert("undone".to_owned(), Parcel { parcels: 1, ..<_>::default() });
            }),
            ("tea", |books| *books.stock.left.get_mut("tea").unwrap() = 7),
            ("more", |books| {
                books.payment.lines.insert("more".to_owned(), Charge::default());
            }),
            // Two that cancel out.
            ("kept", |books| {
                books.payment.lines.get_mut("kept").unwrap().charged = 400;
                books.payment.lines.get_mut("undone").unwrap().charged = 800;
            }),
        ];
        let (told, agreed) = agreeing();
        for (place, (named, change)) in ways.into_iter().enumerate() {
            let mut books = agreed.clone();
            change(&mut books);
            let flaws = audit(&told, &books, SHELF);
            let named = format!("{named}: ");
            assert!(flaws.iter().any(|flaw| flaw.starts_with(&named)), "{place}: {flaws:?}");
        }
    }

    // Goal: an order that is stuck, or of which nobody knows, is a flaw whatever the books say.
    #[test]
    fn what_has_not_ended_is_found() {
        let (told, books) = agreeing();
        let cause = "no answer".to_owned();
        for ending in [Ending::Stuck { cause: cause.clone() }, Ending::Unknown { last: cause }] {
            let mut told = told.clone();
            told.get_mut("kept").unwrap().ending = ending;
            let flaws = audit(&told, &books, SHELF);
            assert!(matches!(&flaws[..], [one] if one.contains("no answer")), "{flaws:?}");
        }
    }
}
