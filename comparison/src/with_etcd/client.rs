//! The least client that puts: a gRPC call is a POST over HTTP/2, whose body is a byte that says
//! "not compressed", a length, and a message of Protocol Buffers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{HeaderMap, Method, Request, Version};
use tokio::net::TcpStream;

use crate::{Result, load::KEY_BYTES, put::Put};

/// How many clients share a connection, at most.
const CLIENTS_A_CONNECTION: usize = 64;

/// The key of `PutRequest` and its value: fields 1 and 2, each a length and so many bytes.
const KEY: u8 = 0x0a;
const VALUE: u8 = 0x12;

/// What all calls have in common: their head.
#[derive(Clone)]
pub(super) struct Client {
    connections: Arc<[SendRequest<Bytes>]>,
    next: Arc<AtomicUsize>,
    head: Request<()>,
}

/// A connection, for one call.
pub(super) struct Call {
    connection: SendRequest<Bytes>,
    head: Request<()>,
}

impl Client {
    /// Connects to a server, for so many clients.
    ///
    /// # Errors
    /// If the server does not speak HTTP/2.
    pub(super) async fn connect(server: SocketAddr, clients: usize) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..clients.div_ceil(CLIENTS_A_CONNECTION) {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            let (connection, driver) = client::handshake(stream).await?;
            tokio::spawn(driver);
            connections.push(connection);
        }
        let head = Request::builder()
            .version(Version::HTTP_2)
            .method(Method::POST)
            .uri(format!("http://{server}/etcdserverpb.KV/Put"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        Ok(Self { connections: connections.into(), next: Arc::default(), head })
    }

    /// Returns the connection for the next call: they take turns.
    pub(super) fn next(&self) -> Call {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        Call { connection: self.connections[number].clone(), head: self.head.clone() }
    }
}

impl Call {
    /// Puts, and waits until etcd says that it is done.
    ///
    /// # Errors
    /// If the connection is lost, or etcd refuses.
    pub(super) async fn put(self, put: &Put) -> Result {
        let mut connection = self.connection.ready().await?;
        let (answer, mut body) = connection.send_request(self.head, false)?;
        body.send_data(message(put), true)?;
        let (head, mut body) = answer.await?.into_parts();
        while let Some(bytes) = body.data().await {
            body.flow_control().release_capacity(bytes?.len())?;
        }
        // One that is refused has its trailers for a head.
        let trailers = body.trailers().await?.unwrap_or(head.headers);
        accepted(&trailers)
    }
}

fn accepted(trailers: &HeaderMap) -> Result {
    match trailers.get("grpc-status") {
        Some(status) if status == "0" => Ok(()),
        _ => Err(format!("etcd refuses a put: {trailers:?}").into()),
    }
}

/// Makes the body of a call.
fn message(put: &Put) -> Bytes {
    let (key, value) = put.0.split_at(KEY_BYTES);
    let length = 2 + key.len() + 2 + value.len();
    let mut bytes = Vec::with_capacity(5 + length);
    bytes.push(0);
    bytes.extend_from_slice(&(length as u32).to_be_bytes());
    for (field, content) in [(KEY, key), (VALUE, value)] {
        // Lengths below 128 take one byte.
        bytes.extend_from_slice(&[field, content.len() as u8]);
        bytes.extend_from_slice(content);
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what is sent is what Protocol Buffers call a `PutRequest`. Method: take it apart.
    #[test]
    fn message_is_a_put_request() {
        let put = Put::of(7);
        let bytes = message(&put);
        assert_eq!(bytes[..5], [0, 0, 0, 0, 84]);
        assert_eq!(bytes[5..7], [KEY, 16]);
        assert_eq!(bytes[7..23], put.0[..16]);
        assert_eq!(bytes[23..25], [VALUE, 64]);
        assert_eq!(bytes[25..], put.0[16..]);
    }
}
