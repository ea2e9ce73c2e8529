//! Getting to know nodes by their addresses alone: of a cluster to join, and of peers that others
//! know already.

use std::{collections::BTreeSet, io, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{
    exclusion::Exclusion,
    handshake::{self, Identity, Shown},
    network::Network,
    roster::Standing,
};

/// How long a node may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long after its start a node asks first.
const START: Duration = Duration::from_millis(200);

/// How often a node that waits to be added asks again.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How often one asks again that was refused for a reason that only an operator can change.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// How long a node that was called by a stranger lets pass before it asks others about strangers
/// again.
const WONDER_EVERY: Duration = Duration::from_secs(3);

/// Asks who listens on `address`.
///
/// # Errors
/// [`Exclusion`] within the error when that node will not talk, and whatever the socket says.
pub(crate) async fn look(
    network: &Arc<dyn Network>,
    identity: &Identity,
    address: &str,
) -> io::Result<Shown> {
    let asked = async {
        let mut stream = network.dial(address).await?;
        handshake::look(&mut stream, identity).await
    };
    timeout(PATIENCE, asked).await?
}

/// Learns of the nodes of the cluster from those at `addresses`, and from all that are known by
/// then, until this node is a member; after that, whenever a stranger calls.
pub(crate) async fn acquaint(
    network: Arc<dyn Network>,
    identity: Identity,
    addresses: Vec<String>,
) {
    let (roster, node) = (&identity.roster, identity.node);
    let mut said = BTreeSet::new();
    // Groups are hosted in a moment, and what they remember says whether this node is a member.
    sleep(START).await;
    if !addresses.is_empty() && roster.standing() == Standing::Waiting {
        tracing::warn!(%node, "{}", identity.wanted());
    }
    loop {
        let standing = roster.standing();
        let waits = standing == Standing::Waiting;
        let pause = match standing {
            Standing::Waiting => ASK_EVERY,
            Standing::Member => {
                roster.puzzled().await;
                WONDER_EVERY
            }
            Standing::Removed | Standing::Refused(_) => REFUSED_PAUSE,
        };
        let known = roster.reachable().into_values();
        let asked: BTreeSet<String> = if standing == Standing::Member {
            known.collect()
        } else {
            addresses.iter().cloned().chain(known).collect()
        };
        for address in &asked {
            match look(&network, &identity, address).await {
                Ok(shown) => {
                    roster.looked(None);
                    roster.introduce(shown.peers);
                }
                Err(error) => {
                    let refusal = Exclusion::find(&error);
                    refusal.is_some().then(|| roster.looked(refusal.cloned()));
                    if !waits || !said.insert((address.clone(), error.to_string())) {
                        continue;
                    }
                    match refusal {
                        Some(reason) => tracing::error!(%node, %address, %reason, "refused"),
                        None => tracing::warn!(%node, %address, %error, "nobody to join there"),
                    }
                }
            }
        }
        sleep(pause).await;
    }
}
