//! What a journal is built from, and the bounds it keeps.

use super::{batch, segment};

/// The shortest segment: one that is shorter would be mostly headers.
const SEGMENT_BYTES_MIN: usize = 4 << 10;
/// The longest segment: recovery holds whole segments in memory, and lengths within one take four
/// bytes.
pub(super) const SEGMENT_BYTES_MAX: usize = 1 << 30;

/// The configuration of a journal. One that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    segment_bytes: usize,
}

impl Config {
    /// Starts the configuration of a journal.
    pub fn builder() -> Builder {
        Builder { config: Self::default() }
    }

    /// Returns the length of a segment created from now on.
    pub fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    /// Returns the length of the longest payload: with its headers it fills a segment of its own.
    pub fn payload_bytes_max(&self) -> usize {
        self.batch_bytes_max() - batch::OVERHEAD_BYTES - batch::RECORD_BYTES
    }

    /// Returns the length of the longest batch: it fills a segment of its own.
    pub(super) fn batch_bytes_max(&self) -> usize {
        self.segment_bytes - segment::HEADER_BYTES
    }
}

impl Default for Config {
    fn default() -> Self {
        // A new segment is rare at this length, and recovery still reads little that was released.
        Self { segment_bytes: 16 << 20 }
    }
}

/// Builds a [`Config`].
#[derive(Clone, Debug)]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// Sets the length of segments created from now on. Default 16 MiB.
    ///
    /// It bounds the longest record, and it is the grain in which space is given back.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: usize) -> Self {
        self.config.segment_bytes = bytes;
        self
    }

    /// Finishes the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] with the rule that the values break.
    pub fn build(self) -> Result<Config, ConfigError> {
        let bytes = self.config.segment_bytes;
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) {
            return Err(ConfigError::SegmentLength { bytes });
        }
        if !bytes.is_multiple_of(segment::SECTOR_BYTES) {
            return Err(ConfigError::BrokenSector { bytes });
        }
        Ok(self.config)
    }
}

/// Why values make no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The segment does not end with a sector.
    #[error("a segment of {bytes} bytes ends within a sector; set a multiple of 512")]
    BrokenSector {
        /// As configured.
        bytes: usize,
    },
    /// The segment is too short or too long.
    #[error("a segment of {bytes} bytes is out of range; set 4 KiB to 1 GiB, 16 MiB is usual")]
    SegmentLength {
        /// As configured.
        bytes: usize,
    },
}
