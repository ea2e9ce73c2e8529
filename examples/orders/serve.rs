//! One process: a node of a service's cluster, and its HTTP interface beside it.

use std::{fmt, io::Read, process::ExitCode, sync::Arc, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, ResponseError,
    http::StatusCode,
    web::{self, JsonConfig, ServiceConfig},
};
use consensus_actors::{Error, Node, NodeBuilder, Result};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::{
    Serve,
    layout::{Layout, Member, Service},
    orders, payment, shipping, stock,
};

/// How long to wait before what failed is tried again.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The largest request that is read.
const BODY_BYTES_MAX: usize = 4 << 10;

/// What a service answers, on any number of threads.
#[derive(Clone)]
pub(crate) struct Routes(Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>);

impl Routes {
    pub(crate) fn new(configure: impl Fn(&mut ServiceConfig) + Send + Sync + 'static) -> Self {
        Self(Arc::new(configure))
    }
}

/// Why a request is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// By the service, for this reason.
    Own(StatusCode, String),
    /// By the framework.
    Framework(Error),
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Own(status, message.into())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Framework(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(_, message) => f.write_str(message),
            Self::Framework(error) => error.fmt(f),
        }
    }
}

impl ResponseError for Refusal {
    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Own(status, message) => {
                HttpResponse::build(*status).json(json!({ "error": message }))
            }
            Self::Framework(error) => error.error_response(),
        }
    }
}

/// Runs a process until it is asked to end.
pub(crate) fn run(options: Serve) -> Result<ExitCode> {
    trace();
    actix_web::rt::System::new().block_on(serve(options))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(options: Serve) -> Result {
    let Serve { service, node, base_port, rules, .. } = &options;
    let (layout, member) = (Layout::new(*base_port), Member { service: *service, node: *node });
    if !service.members().any(|known| known == member) {
        return Err(Error::application(format!("there is no {member}; see `orders dev`")));
    }
    let node = start(&options, layout, member)?;
    if options.end_with_stdin {
        end_with_stdin(node.clone());
    }
    let routes = match service {
        Service::Orders => orders::host(&node, layout).await?,
        Service::Payment => payment::host(&node, rules).await?,
        Service::Stock => stock::host(&node, rules).await?,
        Service::Shipping => {
            let (database, schema) = (options.stores.postgres.clone(), options.schema.clone());
            let database = database.map(|database| match schema {
                Some(schema) => database.in_schema(schema),
                None => database,
            });
            shipping::host(&node, database).await?
        }
    };
    let server = HttpServer::new(move || {
        let routes = Arc::clone(&routes.0);
        let json = JsonConfig::default().limit(BODY_BYTES_MAX);
        App::new()
            // Who writes `curl -d` says something else of what it sends, or nothing.
            .app_data(json.content_type(|_| true).content_type_required(false))
            .configure(move |app| routes(app))
            .default_service(web::to(unknown))
    });
    let server = server.workers(1).disable_signals().bind(layout.http(member))?.run();
    let serving = server.handle();
    actix_web::rt::spawn(server);
    let ended = node.run().await;
    serving.stop(false).await;
    ended
}

/// Starts the node.
fn start(options: &Serve, layout: Layout, member: Member) -> Result<Node> {
    let builder = Node::builder()
        .environment()?
        .id(member.node.into())
        .cluster(member.service.name())
        .http(layout.admin(member).to_string())
        .data(&options.data)
        // All are on one machine.
        .election_timeout(Duration::from_millis(300))
        .heartbeat(Duration::from_millis(60));
    let founder = |builder: NodeBuilder, peer: Member| {
        builder.peer(peer.node.into(), layout.peer(peer).to_string())
    };
    member.service.members().fold(builder, founder).start()
}

/// Writes what happens to the standard error.
fn trace() {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// Whoever started this process holds the other end of the pipe: however it dies, this process ends
/// as if it were asked to.
fn end_with_stdin(node: Node) {
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        std::io::stdin().read_to_end(&mut rest).ok();
        actix_web::rt::System::new().block_on(node.shutdown());
        std::process::exit(0);
    });
}

async fn unknown(request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let message = format!("{} {} is nothing that is served here", request.method(), request.path());
    Err(Refusal::new(StatusCode::NOT_FOUND, message))
}
