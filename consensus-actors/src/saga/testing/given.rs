//! What users give to the test of a saga: the values of its steps, and what must hold.

use std::{any::type_name, pin::Pin, rc::Rc};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{super::cx::Common, caught::caught};
use crate::saga::Saga;

type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
type Make = Box<dyn for<'a> Fn(&'a mut Common) -> Local<'a, ()>>;
type Check = Box<dyn for<'a> Fn(&'a Common, Saga<Bytes>) -> Local<'a, Result<(), String>>>;

/// All that users give.
#[derive(Default)]
pub(super) struct Given {
    makes: Vec<Make>,
    checks: Vec<Check>,
}

impl Given {
    /// Takes what makes a value of the steps.
    pub(super) fn add_value<T: Send + Sync + 'static>(
        &mut self,
        make: impl AsyncFn() -> T + 'static,
    ) {
        let make = Rc::new(make);
        self.makes.push(Box::new(move |common| {
            let make = Rc::clone(&make);
            Box::pin(async move { common.add(make().await) })
        }));
    }

    /// Takes what must hold of such a value once a saga has ended.
    pub(super) fn add_check<V: 'static, T: DeserializeOwned>(
        &mut self,
        check: impl AsyncFn(&V, &Saga<T>) -> Result<(), String> + 'static,
    ) {
        let check = Rc::new(check);
        self.checks.push(Box::new(move |common, ended| {
            let check = Rc::clone(&check);
            Box::pin(async move {
                let name = type_name::<V>();
                let value = common.find::<V>().ok_or_else(|| {
                    format!(
                        "the check looks at a {name}, and steps have none: give it by .with(..)"
                    )
                })?;
                let ended = ended.decoded().map_err(|error| error.to_string())?;
                check(value, &ended).await
            })
        }));
    }

    /// Tells whether nothing is checked.
    pub(super) fn checks_nothing(&self) -> bool {
        self.checks.is_empty()
    }

    /// Makes new values.
    ///
    /// # Errors
    /// What was said by what panicked.
    pub(super) async fn values(&self) -> Result<Common, String> {
        let mut common = Common::default();
        for make in &self.makes {
            caught(make(&mut common)).await?;
        }
        Ok(common)
    }

    /// Checks the values of a saga that has ended.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) async fn check(&self, common: &Common, ended: &Saga<Bytes>) -> Result<(), String> {
        for check in &self.checks {
            let checked = caught(check(common, ended.clone())).await;
            checked.map_err(|said| format!("it panicked: {said}")).flatten()?;
        }
        Ok(())
    }
}
