//! What processes use, as the system counts it.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// Returns how long this process has had a processor, with the threads that have ended.
pub(super) fn own_processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// Returns how long the threads of another process have had a processor.
///
/// # Errors
/// If there is no such process.
pub(super) fn processor_time(process: u32) -> io::Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let counted = fs::read_to_string(thread?.path().join("schedstat"))?;
        let first = counted.split_whitespace().next().and_then(|first| first.parse::<u64>().ok());
        nanos += first.ok_or(io::ErrorKind::InvalidData)?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Returns how many bytes of a process's memory are in the machine's.
///
/// # Errors
/// If there is no such process.
pub(super) fn resident_bytes(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes =
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kibibytes.ok_or(io::ErrorKind::InvalidData)? << 10)
}

/// Returns the share of a processor that a process uses while `span` passes.
///
/// # Errors
/// If the process ends.
pub(super) fn processor_share(process: u32, span: Duration) -> io::Result<f64> {
    let (began, before) = (Instant::now(), processor_time(process)?);
    std::thread::sleep(span);
    let used = processor_time(process)?.saturating_sub(before);
    Ok(used.as_secs_f64() / began.elapsed().as_secs_f64())
}
