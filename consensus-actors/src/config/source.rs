//! Where settings are looked for: flags, the environment of the process, a file.

use std::{ffi::OsString, fs, io, path::PathBuf};

use super::{
    environment, file,
    key::Key,
    layers::{Layers, Origin},
    place::{Of, Place, Spelling},
};
use crate::error::{Code, Error};

/// The file that is read if it is there and none is named.
const FILE: &str = "consensus.toml";

/// A longer file is none of ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the command line says of settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The file of `--config`.
    pub(crate) file: Option<PathBuf>,
    /// Flags, in the order in which they count.
    pub(crate) flags: Vec<Flag>,
}

/// A flag with its value.
#[derive(Clone, Debug)]
pub(crate) enum Flag {
    /// `--heartbeat 100ms`
    Of(&'static Key, String),
    /// `--set group.hits.deadline=1s`
    Set(String),
}

/// The file that counts, and what named it if somebody did.
struct Named {
    path: PathBuf,
    by: Option<&'static str>,
}

impl Sources {
    /// Reads all layers.
    ///
    /// # Errors
    /// [`Code::Config`]: everything that cannot be read, is unknown, or fails the check of its
    /// setting.
    pub(crate) fn read(&self) -> Result<Layers, Vec<Error>> {
        self.read_with(std::env::vars_os())
    }

    pub(super) fn read_with(
        &self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Layers, Vec<Error>> {
        let named = self.named();
        let (mut layers, mut problems) = (Layers::default(), Vec::new());
        self.flags.iter().for_each(|flag| flag.read(&mut layers, &mut problems));
        environment::read(variables, &mut layers, &mut problems);
        match named.read() {
            Ok(Some(text)) => {
                let path = named.path.display().to_string().into();
                file::read(&path, &text, &mut layers, &mut problems);
            }
            Ok(None) => {}
            Err(error) => problems.push(error),
        }
        if problems.is_empty() { Ok(layers) } else { Err(problems) }
    }

    fn named(&self) -> Named {
        if let Some(path) = &self.file {
            return Named { path: path.clone(), by: Some("--config") };
        }
        match std::env::var_os(environment::CONFIG) {
            Some(path) => Named { path: path.into(), by: Some(environment::CONFIG) },
            None => Named { path: FILE.into(), by: None },
        }
    }
}

impl Named {
    /// Reads the file; `None` if it is not there and nobody named it.
    fn read(&self) -> Result<Option<String>, Error> {
        let failed = |reason: String| {
            let by = self.by.map(|by| format!(" ({by})")).unwrap_or_default();
            let message = format!(
                "cannot read the configuration {}{by}: {reason}; name a file that can be read",
                self.path.display()
            );
            Error::new(Code::Config, message)
        };
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                let reason = format!("it has {} bytes, which no configuration has", metadata.len());
                return Err(failed(reason));
            }
            Err(error) if self.by.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Ok(_) | Err(_) => {}
        }
        fs::read_to_string(&self.path).map(Some).map_err(|error| failed(error.to_string()))
    }
}

impl Flag {
    fn read(&self, layers: &mut Layers, problems: &mut Vec<Error>) {
        let done = match self {
            Self::Of(key, text) => {
                let place = Place { key, of: Of::All, peer: None };
                layers.read(&place, text, &Origin::Flag(format!("--{}", key.flag())))
            }
            Self::Set(text) => set(text, layers),
        };
        done.unwrap_or_else(|error| problems.push(error));
    }
}

fn set(text: &str, layers: &mut Layers) -> Result<(), Error> {
    let refused = |reason: &str| Error::new(Code::Config, format!("--set {text:?}: {reason}"));
    let Some((name, value)) = text.split_once('=') else {
        return Err(refused("write it as KEY=VALUE, as group.hits.deadline=2s"));
    };
    let parts: Vec<&str> = name.trim().split('.').collect();
    let place = Place::parse(&parts, Spelling::File).map_err(|reason| refused(&reason))?;
    layers.read(&place, value.trim(), &Origin::Flag("--set".to_owned()))
}
