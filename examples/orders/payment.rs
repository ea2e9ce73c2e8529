//! The service that charges customers.

use std::collections::BTreeMap;

use actix_web::web::{self, Data, Json, Path};
use consensus_actors::{
    Node, Result,
    prelude::*,
    saga::{FromSaga, Guard, Guarded, Request},
};

use crate::{
    Rules,
    book::{self, Book, ORDERS_MAX, PAGE},
    draw::draw,
    serve::Routes,
};

/// What is to be paid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bill {
    pub(crate) cents: u64,
}

/// What was taken from a customer for an order, and given back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Deterministic)]
pub(crate) struct Charge {
    /// How often the customer was charged; once, if all is well.
    pub(crate) charges: u32,
    /// What was charged in all.
    pub(crate) charged: u64,
    /// How often the customer got money back.
    pub(crate) refunds: u32,
    /// What was given back in all, in cents.
    pub(crate) refunded: u64,
}

/// The charges of all orders. A real service has a database here, and the guard in it.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
pub(crate) struct Payment {
    charges: BTreeMap<String, Charge>,
    asked: u64,
    guard: Guard,
}

#[replicated]
impl Payment {
    /// Charges for an order, unless the bank declines it.
    #[command]
    fn charge(&mut self, of: Request, order: String, cents: u64, declined: bool) -> Guarded<u64> {
        self.asked += 1;
        self.guard.act(of, || {
            if declined {
                return Err("declined by the bank");
            }
            if self.charges.len() >= ORDERS_MAX {
                return Err("the book of charges is full");
            }
            let charge = self.charges.entry(order).or_default();
            charge.charges += 1;
            charge.charged += cents;
            Ok(cents)
        })
    }

    /// Gives back what was charged.
    #[command]
    fn refund(&mut self, of: Request, order: String) -> Guarded<()> {
        self.asked += 1;
        self.guard.undo(of, |cents: u64| {
            let charge = self.charges.get_mut(&order).ok_or("the order was never charged")?;
            charge.refunds += 1;
            charge.refunded += cents;
            Ok::<_, &str>(())
        })
    }

    /// Returns how often it was asked for something.
    #[query]
    fn asked(&self) -> u64 {
        self.asked
    }

    /// Returns a page of the book, behind an order.
    #[query]
    fn page(&self, after: String, limit: u32) -> Vec<(String, Charge)> {
        book::page(&self.charges, &after, limit)
    }
}

/// The bank: it has its reasons, which are the same whoever asks and however often.
#[derive(Clone)]
struct Bank {
    rules: Rules,
}

impl Bank {
    fn declines(&self, order: &str) -> bool {
        self.rules.decline > 0 && draw(self.rules.seed, order).is_multiple_of(self.rules.decline)
    }
}

/// Hosts the service on a node.
pub(crate) async fn host(node: &Node, rules: &Rules) -> Result<Routes> {
    let payment = Data::new(node.host::<Payment>("payment").await?);
    let bank = Data::new(Bank { rules: rules.clone() });
    Ok(Routes::new(move |app| {
        app.app_data(payment.clone())
            .app_data(bank.clone())
            .route("/orders/{id}/charge", web::post().to(charge))
            .route("/orders/{id}/refund", web::post().to(refund))
            .route("/books", web::get().to(books));
    }))
}

async fn charge(
    FromSaga(of): FromSaga,
    payment: Data<PaymentClient>,
    bank: Data<Bank>,
    order: Path<String>,
    bill: Json<Bill>,
) -> Result<Guarded<u64>> {
    let declined = bank.declines(&order);
    payment.charge(of, order.into_inner(), bill.cents, declined).await
}

async fn refund(
    FromSaga(of): FromSaga,
    payment: Data<PaymentClient>,
    order: Path<String>,
) -> Result<Guarded<()>> {
    payment.refund(of, order.into_inner()).await
}

async fn books(payment: Data<PaymentClient>) -> Result<Json<Book<Charge>>> {
    let asked = payment.asked().await?;
    book::read(asked, async |after| payment.page(after, PAGE).await).await.map(Json)
}
