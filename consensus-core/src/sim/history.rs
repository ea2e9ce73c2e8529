//! What clients saw: when each operation was invoked, and when and how it ended.

/// A moment in a history: the position of its event, from 0. Events are totally ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

/// An operation that may have taken effect.
///
/// One that is known to have failed has no place in a history: it took no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<C, R> {
    /// Who called; a process has one operation at a time.
    pub process: u64,
    /// What was called.
    pub call: C,
    /// When it was invoked.
    pub invoked: Moment,
    /// When it ended, and with what; `None` where nobody knows: it may take effect at any later
    /// moment, or never.
    pub returned: Option<(Moment, R)>,
}

impl<C, R> Operation<C, R> {
    /// Returns when it ended.
    pub fn ended(&self) -> Option<Moment> {
        self.returned.as_ref().map(|(moment, _)| *moment)
    }
}

/// What an event says of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<C, R> {
    /// A process calls.
    Invoke(C),
    /// Its call took effect and returned this.
    Ok(R),
    /// Its call took no effect, and never will.
    Fail,
    /// Nobody knows what became of its call.
    Info,
}

/// Why events make no history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A process called while its former call had not ended.
    #[error("process {process} calls before its former call has ended")]
    Overlapping {
        /// The process.
        process: u64,
    },
    /// A call ended that was never invoked.
    #[error("process {process} ends a call that it never made")]
    NeverInvoked {
        /// The process.
        process: u64,
    },
}

/// Collects events, in the order in which they happened, into operations.
#[derive(Clone, Debug)]
pub struct Recorder<C, R> {
    operations: Vec<Operation<C, R>>,
    open: std::collections::BTreeMap<u64, usize>,
    failed: Vec<bool>,
    events: u64,
}

impl<C, R> Default for Recorder<C, R> {
    fn default() -> Self {
        Self {
            operations: Vec::new(),
            open: std::collections::BTreeMap::new(),
            failed: Vec::new(),
            events: 0,
        }
    }
}

impl<C, R> Recorder<C, R> {
    /// Takes the next event of `process`.
    ///
    /// # Errors
    /// [`HistoryError`] when the event cannot follow the ones before it.
    pub fn record(&mut self, process: u64, event: Event<C, R>) -> Result<(), HistoryError> {
        let moment = Moment(self.events);
        self.events += 1;
        let call = match event {
            Event::Invoke(call) => {
                if self.open.contains_key(&process) {
                    return Err(HistoryError::Overlapping { process });
                }
                self.open.insert(process, self.operations.len());
                self.failed.push(false);
                let operation = Operation { process, call, invoked: moment, returned: None };
                self.operations.push(operation);
                return Ok(());
            }
            Event::Ok(result) => Some(Some(result)),
            Event::Fail => None,
            Event::Info => Some(None),
        };
        let at = self.open.remove(&process).ok_or(HistoryError::NeverInvoked { process })?;
        match call {
            Some(result) => {
                if let Some(operation) = self.operations.get_mut(at) {
                    operation.returned = result.map(|result| (moment, result));
                }
            }
            None => {
                if let Some(failed) = self.failed.get_mut(at) {
                    *failed = true;
                }
            }
        }
        Ok(())
    }

    /// Returns what `process` has called and what has not ended yet.
    pub fn calling(&self, process: u64) -> Option<&C> {
        let at = self.open.get(&process)?;
        self.operations.get(*at).map(|operation| &operation.call)
    }

    /// Returns the operations that may have taken effect; calls that never ended are among them.
    pub fn finish(self) -> Vec<Operation<C, R>> {
        let failed = self.failed.into_iter();
        self.operations
            .into_iter()
            .zip(failed)
            .filter_map(|(operation, failed)| (!failed).then_some(operation))
            .collect()
    }
}
