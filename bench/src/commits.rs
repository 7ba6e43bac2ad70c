//! Counts commits without touching the runtime: each leaves a mark in its database's write-ahead log.
//!
//! The format is SQLite's: a header of 32 bytes, then frames of 24 bytes and a page. A frame that ends a commit
//! names the size of the database; frames of earlier rounds of the log have other salts.

use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// What a folder of databases has committed in the rounds that their logs are in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commits {
    logs: Vec<(Vec<u8>, u64)>,
}

impl Commits {
    /// Reads the logs of all databases of an object class.
    pub fn of(class: &Path) -> Self {
        let mut paths: Vec<_> = std::fs::read_dir(class)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            // The runtime's own book of what the class holds is no object's.
            .filter(|path| path.to_string_lossy().ends_with(".sqlite-wal"))
            .filter(|path| !path.to_string_lossy().ends_with("metadata.sqlite-wal"))
            .collect();
        paths.sort();
        Self { logs: paths.iter().filter_map(|path| count(&std::fs::read(path).ok()?)).collect() }
    }

    /// Commits since an earlier look; nothing where a log has begun a new round in between.
    pub fn since(&self, earlier: &Self) -> Option<u64> {
        let of = |logs: &Self| -> Vec<Vec<u8>> { logs.logs.iter().map(|(salts, _)| salts.clone()).collect() };
        let all = |logs: &Self| logs.logs.iter().map(|(_, commits)| commits).sum::<u64>();
        (of(self) == of(earlier)).then(|| all(self).saturating_sub(all(earlier)))
    }
}

/// The salts and the commits of a log.
fn count(log: &[u8]) -> Option<(Vec<u8>, u64)> {
    let page = u32::from_be_bytes(log.get(8..12)?.try_into().ok()?) as usize;
    let salts = log.get(16..24)?;
    let frames = log.get(HEADER..)?.chunks_exact(FRAME_HEADER + page);
    let commits = frames
        .take_while(|frame| frame.get(8..16) == Some(salts))
        .filter(|frame| frame.get(4..8) != Some(&[0; 4]))
        .count();
    Some((salts.to_vec(), commits as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log with a page size of 8: a frame for each database size, all with the same salts, then an old one.
    fn log(salt: u8, sizes: &[u8]) -> Vec<u8> {
        let mut log = vec![0; HEADER];
        log[11] = 8;
        log[16..24].fill(salt);
        for size in sizes {
            log.extend([0, 0, 0, 1, 0, 0, 0, *size]);
            log.extend([salt; 8]);
            log.extend([0; 16]);
        }
        log.extend([0, 0, 0, 1, 0, 0, 0, 9]);
        log.extend([salt + 1; 8]);
        log.extend([0; 16]);
        log
    }

    #[test]
    fn counts_the_frames_that_end_a_commit_of_this_round() {
        assert_eq!(count(&log(7, &[0, 0, 3, 0, 3, 4])).map(|found| found.1), Some(3));
        assert_eq!(count(&log(7, &[])).map(|found| found.1), Some(0));
        assert_eq!(count(b"short"), None);
    }

    #[test]
    fn a_new_round_of_the_log_is_no_difference() {
        let look = |log: Vec<u8>| Commits { logs: count(&log).into_iter().collect() };
        let first = look(log(7, &[3]));
        assert_eq!(look(log(7, &[3, 0, 3, 3])).since(&first), Some(2));
        assert_eq!(look(log(8, &[3, 3])).since(&first), None);
    }
}
