//! The service that takes orders, and has their sagas carried out.

use std::{collections::BTreeMap, time::Duration};

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{self, Data, Json, Path},
};
use consensus_actors::{
    Node,
    prelude::*,
    saga::{Guard, Guarded, Request, Saga, Sagas},
};
use serde_json::{Value, json};

use crate::{
    book::{self, Book, ORDERS_MAX, PAGE},
    checkout::{Checkout, Purchase},
    client::Services,
    layout::Layout,
    serve::{Refusal, Routes},
};

/// The group that keeps the logs of the sagas.
pub(crate) const CHECKOUT: &str = "checkout";

/// How long a customer waits for an answer before they are told to ask again.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How many units may be ordered at once.
const QUANTITY_MAX: u32 = 1_000;

/// The highest price of an order.
const CENTS_MAX: u64 = 100_000_000;

/// The longest id of an order, and the longest other text.
const TEXT_BYTES_MAX: usize = 64;

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Deterministic)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Its checkout is under way.
    Placed,
    /// A parcel is on its way.
    Confirmed,
    /// Whatever was done for it is undone.
    Cancelled,
}

/// An order in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Deterministic)]
pub(crate) struct Order {
    pub(crate) purchase: Purchase,
    pub(crate) standing: Standing,
    pub(crate) parcel: Option<String>,
    /// The saga that sees to it.
    pub(crate) saga: String,
    /// How often it was placed, confirmed and cancelled; once at most, if all is well.
    pub(crate) placed: u32,
    pub(crate) confirmed: u32,
    pub(crate) cancelled: u32,
}

/// The book of orders. A real service has a database here, and the guard in it.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
pub(crate) struct Orders {
    orders: BTreeMap<String, Order>,
    asked: u64,
    guard: Guard,
}

#[replicated]
impl Orders {
    /// Places an order.
    #[command]
    fn place(&mut self, of: Request, id: String, purchase: Purchase) -> Guarded<()> {
        self.asked += 1;
        self.guard.act(of, || {
            if self.orders.len() >= ORDERS_MAX {
                return Err("the book of orders is full");
            }
            let saga = format!("{:032x}", of.key.saga.0);
            let (standing, parcel) = (Standing::Placed, None);
            let (placed, confirmed, cancelled) = (0, 0, 0);
            let order = Order { purchase, standing, parcel, saga, placed, confirmed, cancelled };
            self.orders.entry(id).or_insert(order).placed += 1;
            Ok(())
        })
    }

    /// Cancels an order that was placed.
    #[command]
    fn cancel(&mut self, of: Request, id: String) -> Guarded<()> {
        self.asked += 1;
        self.guard.undo(of, |(): ()| {
            let order = self.orders.get_mut(&id).ok_or("there is no such order")?;
            order.standing = Standing::Cancelled;
            order.cancelled += 1;
            Ok::<_, &str>(())
        })
    }

    /// Confirms an order whose parcel is on its way.
    #[command]
    fn confirm(&mut self, of: Request, id: String, parcel: String) -> Guarded<String> {
        self.asked += 1;
        self.guard.act(of, || {
            let order = self.orders.get_mut(&id).ok_or("there is no such order")?;
            order.standing = Standing::Confirmed;
            order.parcel = Some(parcel.clone());
            order.confirmed += 1;
            Ok::<_, &str>(parcel)
        })
    }

    /// Returns an order.
    #[query]
    fn find(&self, id: String) -> Option<Order> {
        self.orders.get(&id).cloned()
    }

    /// Returns how often it was asked for something.
    #[query]
    fn asked(&self) -> u64 {
        self.asked
    }

    /// Returns a page of the book, behind an order.
    #[query]
    fn page(&self, after: String, limit: u32) -> Vec<(String, Order)> {
        book::page(&self.orders, &after, limit)
    }
}

/// Hosts the service on a node, with the sagas.
pub(crate) async fn host(node: &Node, layout: Layout) -> consensus_actors::Result<Routes> {
    let orders = node.host::<Orders>("orders").await?;
    let sagas = node.sagas(CHECKOUT).with(orders.clone()).with(Services::new(layout));
    let sagas = Data::new(sagas.register::<Checkout>().await?);
    let orders = Data::new(orders);
    Ok(Routes::new(move |app| {
        app.app_data(orders.clone())
            .app_data(sagas.clone())
            .route("/orders/{id}", web::post().to(place))
            .route("/orders/{id}", web::get().to(show))
            .route("/books", web::get().to(books));
    }))
}

/// Places an order. Whoever is not answered repeats it, here or on another node.
async fn place(
    sagas: Data<Sagas>,
    id: Path<String>,
    purchase: Result<Json<Purchase>, actix_web::Error>,
) -> Result<HttpResponse, Refusal> {
    let purchase = purchase.map(Json::into_inner).map_err(|error| {
        let message = format!("the order cannot be read: {error}; send {EXAMPLE}");
        Refusal::new(StatusCode::BAD_REQUEST, message)
    })?;
    check(&id, &purchase).map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, why))?;
    let order = id.into_inner();
    let input = Checkout { order: order.clone(), purchase };
    let run = sagas.start_once(&order, input).await.map_err(|error| match error.code() {
        Code::KeyReused => {
            let message = format!(
                "order {order:?} was placed before and is another one; give this one an id of its \
                 own"
            );
            Refusal::new(StatusCode::CONFLICT, message)
        }
        _ => error.into(),
    })?;
    // It goes on without anybody waiting.
    let ended = match tokio::time::timeout(ANSWER_WITHIN, run.wait()).await {
        Ok(ended) => Some(ended?),
        Err(_) => None,
    };
    let mut answer = json!({ "order": order, "saga": format!("{:032x}", run.id().0) });
    let (status, rest) = told(ended);
    if let (Some(answer), Value::Object(rest)) = (answer.as_object_mut(), rest) {
        answer.extend(rest);
    }
    Ok(HttpResponse::build(status).json(answer))
}

/// Says how a checkout did, if it has ended.
fn told(ended: Option<Saga<String>>) -> (StatusCode, Value) {
    match ended {
        None => (StatusCode::ACCEPTED, json!({ "standing": "under_way" })),
        Some(Saga::Completed(parcel)) => {
            (StatusCode::OK, json!({ "standing": "completed", "parcel": parcel }))
        }
        Some(Saga::Compensated { failed, cause }) => {
            let rest = json!({ "standing": "compensated", "failed": failed, "cause": cause });
            (StatusCode::OK, rest)
        }
        Some(Saga::Stuck { step, cause, .. }) => {
            (StatusCode::OK, json!({ "standing": "stuck", "step": step, "cause": cause }))
        }
        Some(Saga::Abandoned) => (StatusCode::OK, json!({ "standing": "abandoned" })),
    }
}

/// What an order looks like.
const EXAMPLE: &str = r#"{"customer":"ada","sku":"tea","quantity":2,"cents":1200}"#;

fn check(id: &str, purchase: &Purchase) -> Result<(), String> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let Purchase { customer, sku, quantity, cents } = purchase;
    if id.len() > TEXT_BYTES_MAX || id.is_empty() || !id.chars().all(is_plain) {
        return Err(format!(
            "{id:?} is no id of an order: it has up to {TEXT_BYTES_MAX} letters, digits and hyphens"
        ));
    }
    for (name, text) in [("customer", customer), ("sku", sku)] {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return Err(format!("the {name} is {text:?}: it has 1 to {TEXT_BYTES_MAX} bytes"));
        }
    }
    if !(1..=QUANTITY_MAX).contains(quantity) {
        return Err(format!("the quantity is {quantity}: order 1 to {QUANTITY_MAX} units"));
    }
    if !(1..=CENTS_MAX).contains(cents) {
        return Err(format!("the price is {cents} cents: it is 1 to {CENTS_MAX}"));
    }
    Ok(())
}

async fn show(orders: Data<OrdersClient>, id: Path<String>) -> Result<Json<Order>, Refusal> {
    let id = id.into_inner();
    let found = orders.find(id.clone()).await?;
    found.map(Json).ok_or_else(|| {
        let message = format!("there is no order {id:?}; place it: POST /orders/{id}");
        Refusal::new(StatusCode::NOT_FOUND, message)
    })
}

async fn books(orders: Data<OrdersClient>) -> Result<Json<Book<Order>>, Refusal> {
    let asked = orders.asked().await?;
    Ok(Json(book::read(asked, async |after| orders.page(after, PAGE).await).await?))
}
