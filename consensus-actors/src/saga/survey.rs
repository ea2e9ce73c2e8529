//! Whether a node knows what sagas under way rest on: what it lacks is said as soon as it is known,
//! and what the node in charge lacks is reason to replace it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use consensus_core::{CommitToken, GroupId, Index, NodeId};
use tokio::time::sleep;

use super::{
    book::{Answer, Book, Need, Query},
    coordinator::Office,
    definition::Definitions,
};
use crate::{
    client::Client,
    error::{Code, Result},
    node::Group,
};

/// The pause between two looks.
const PERIOD: Duration = Duration::from_secs(10);
/// The pause before a look that did not work is taken again.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks, for as long as the node lives.
pub(super) struct Survey {
    node: NodeId,
    name: Arc<str>,
    client: Client<Book>,
    group: Arc<dyn Group>,
    definitions: Arc<Definitions>,
    /// The definitions that it has said to be lacking.
    told: BTreeSet<u128>,
    /// Whether it has seen what the group holds, and not just what this node had heard of it.
    is_begun: bool,
}

impl Survey {
    pub(super) fn new(office: &Office) -> Self {
        Self {
            node: office.node,
            name: Arc::clone(&office.name),
            client: office.client.clone(),
            group: Arc::clone(&office.group),
            definitions: Arc::clone(&office.definitions),
            told: BTreeSet::new(),
            is_begun: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let pause = match self.needs().await {
                Ok(needs) => {
                    self.is_begun = true;
                    self.judge(&needs).await;
                    PERIOD
                }
                Err(error) if error.code() == Code::Stopping => return,
                Err(_) => AGAIN,
            };
            sleep(pause).await;
        }
    }

    /// Asks what sagas rest on: first the group, then this node's own state, which costs no message.
    async fn needs(&self) -> Result<Vec<Need>> {
        let mut call = self.client.answer(&Query::Needs);
        if self.is_begun {
            call = call.after(CommitToken::new(GroupId::named(&self.name), Index::ZERO));
        }
        Ok(match call.await? {
            Answer::Needs(needs) => needs,
            Answer::Records(_) | Answer::News(_) | Answer::Rows(_) | Answer::Row(_) => Vec::new(),
        })
    }

    /// Says what is lacking; takes the lead where another node lacks something and this one nothing.
    async fn judge(&mut self, needs: &[Need]) {
        let lacking = lacking(needs, &self.definitions);
        for need in &lacking {
            if self.told.insert(need.digest) {
                tracing::error!(group = %self.name, "{}", warning(need));
            }
        }
        let leads = self.group.status().1.leader == Some(self.node);
        if lacking.is_empty() && !leads && needs.iter().any(|need| need.is_unknown) {
            tracing::info!(
                group = %self.name,
                "takes the lead: the node in charge does not know all sagas, and this one does"
            );
            if let Err(error) = self.client.transfer(Some(self.node.number())).await {
                tracing::debug!(group = %self.name, "cannot take the lead yet: {error}");
            }
        }
    }
}

/// Returns the definitions that are needed and not registered.
fn lacking<'a>(needs: &'a [Need], definitions: &Definitions) -> Vec<&'a Need> {
    needs.iter().filter(|need| definitions.find(need.digest).is_none()).collect()
}

fn warning(Need { digest, definition, sagas, .. }: &Need) -> String {
    format!(
        "{sagas} sagas that have not ended need {definition} (digest {digest:032x}), which is not \
         registered on this node: they are stuck while it is in charge; register that type and \
         version here, too, until none of them is left"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: what is said of a definition that is lacking names it, how much rests on it, and what to
    // do.
    #[test]
    fn s14_lacking_definition_is_named() {
        let need =
            Need { digest: 7, definition: "order version 1".into(), sagas: 3, is_unknown: false };
        let needs = [need];
        let lacking = lacking(&needs, &Definitions::default());
        let text = warning(lacking[0]);
        for part in ["3 sagas", "order version 1", "register"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
