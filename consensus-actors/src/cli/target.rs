//! Which node the tools ask.

use super::options::Target;
use crate::{
    config::{
        self, At, Sources,
        table::{ADDR, HTTP},
    },
    error::Result,
};

/// Where a node serves HTTP if nothing says otherwise.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:4701";

impl Target {
    /// Returns the address of the node to ask: of the flag, the environment, the file.
    ///
    /// # Errors
    /// [`Code::Config`](crate::Code::Config) when the configuration has to be read and cannot be.
    pub(super) fn address(&self) -> Result<String> {
        if let Some(address) = &self.addr {
            return Ok(address.clone());
        }
        // Whoever names the node needs no configuration that is in order.
        if let Ok(address) = std::env::var(ADDR.key.variable()) {
            return Ok(address);
        }
        let sources = Sources { file: self.configured.config.clone(), flags: Vec::new() };
        let layers = sources.read().map_err(config::first)?;
        let http = |node| layers.find(&HTTP.key, At { node, group: None });
        let found = layers
            .find(&ADDR.key, At::default())
            .or_else(|| http(None))
            .or_else(|| layers.nodes().into_iter().find_map(|id| http(Some(id))));
        Ok(found.map_or_else(|| DEFAULT_ADDRESS.to_owned(), |found| found.value.to_string()))
    }
}
