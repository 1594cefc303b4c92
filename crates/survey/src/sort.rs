//! Sorts more lines than fit into memory: sorted runs in temporary files, merged while they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

/// The octets of lines that are kept in memory before a run is written.
const MEMORY: usize = 16 * 1024 * 1024;

/// The most runs that are merged at once. More are merged into one before, so that the number of open files is bounded.
const MAX_RUNS: usize = 128;

/// Lines that are being collected to be read in order. The memory is bounded; the rest is in unnamed temporary files of the
/// folder, which the system removes when the process ends.
#[derive(Debug)]
pub(crate) struct LineSorter {
    folder: PathBuf,
    memory: usize,
    lines: Vec<String>,
    octets: usize,
    runs: Vec<File>,
}

impl LineSorter {
    /// Returns a sorter without lines.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::with_memory(folder, MEMORY)
    }

    /// Returns a sorter without lines that keeps this many octets of lines in memory.
    pub(crate) fn with_memory(folder: &Path, memory: usize) -> Self {
        Self { folder: folder.to_owned(), memory, lines: Vec::new(), octets: 0, runs: Vec::new() }
    }

    /// Adds a line, which contains no line break.
    ///
    /// # Errors
    /// If a temporary file cannot be written.
    pub(crate) fn push(&mut self, line: String) -> io::Result<()> {
        self.octets += line.len() + size_of::<String>();
        self.lines.push(line);
        if self.octets >= self.memory { self.spill() } else { Ok(()) }
    }

    /// Returns the lines in order.
    ///
    /// # Errors
    /// If a temporary file cannot be written or read.
    pub(crate) fn finish(mut self) -> io::Result<SortedLines> {
        self.lines.sort_unstable();
        let rest = std::mem::take(&mut self.lines);
        SortedLines::new(std::mem::take(&mut self.runs), rest)
    }

    fn spill(&mut self) -> io::Result<()> {
        self.lines.sort_unstable();
        if self.runs.len() >= MAX_RUNS {
            let merged = SortedLines::new(std::mem::take(&mut self.runs), Vec::new())?;
            self.runs.push(write_run(&self.folder, merged)?);
        }
        let lines = std::mem::take(&mut self.lines);
        self.octets = 0;
        self.runs.push(write_run(&self.folder, lines.into_iter().map(Ok))?);
        Ok(())
    }
}

fn write_run(folder: &Path, lines: impl Iterator<Item = io::Result<String>>) -> io::Result<File> {
    let mut run = BufWriter::new(tempfile::tempfile_in(folder)?);
    for line in lines {
        run.write_all(line?.as_bytes())?;
        run.write_all(b"\n")?;
    }
    let mut run = run.into_inner().map_err(io::IntoInnerError::into_error)?;
    run.rewind()?;
    Ok(run)
}

/// Lines in order.
#[derive(Debug)]
pub(crate) struct SortedLines {
    runs: Vec<Run>,
    /// The next line of each run, smallest first.
    next: BinaryHeap<Reverse<(String, usize)>>,
}

#[derive(Debug)]
enum Run {
    File(BufReader<File>),
    Memory(std::vec::IntoIter<String>),
}

impl Run {
    fn next(&mut self) -> io::Result<Option<String>> {
        match self {
            Self::Memory(lines) => Ok(lines.next()),
            Self::File(file) => {
                let mut line = String::new();
                if file.read_line(&mut line)? == 0 {
                    return Ok(None);
                }
                if line.ends_with('\n') {
                    line.pop();
                }
                Ok(Some(line))
            }
        }
    }
}

impl SortedLines {
    fn new(runs: Vec<File>, rest: Vec<String>) -> io::Result<Self> {
        let mut runs: Vec<_> = runs.into_iter().map(|file| Run::File(BufReader::new(file))).collect();
        runs.push(Run::Memory(rest.into_iter()));
        let mut next = BinaryHeap::with_capacity(runs.len());
        for (index, run) in runs.iter_mut().enumerate() {
            next.extend(run.next()?.map(|line| Reverse((line, index))));
        }
        Ok(Self { runs, next })
    }
}

impl Iterator for SortedLines {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        let Reverse((line, index)) = self.next.pop()?;
        match self.runs.get_mut(index).map(Run::next) {
            Some(Ok(Some(line))) => self.next.push(Reverse((line, index))),
            Some(Err(error)) => return Some(Err(error)),
            Some(Ok(None)) | None => {}
        }
        Some(Ok(line))
    }
}

/// Returns a number that depends on the seed and the text alone: FNV-1a, mixed as in SplitMix64. It decides orders, so that
/// neighbors in a list are not dialed after each other; it protects nothing.
pub(crate) fn keyed_hash(seed: u64, text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for octet in text.bytes() {
        hash = (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_line_comes_once_and_in_order(mut lines in proptest::collection::vec("[a-d]{0,6}", 0..900), memory in 1_usize..4000) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = LineSorter::with_memory(folder.path(), memory);
            for line in &lines {
                sorter.push(line.clone()).unwrap();
            }
            let sorted: Vec<_> = sorter.finish().unwrap().map(Result::unwrap).collect();
            lines.sort_unstable();
            prop_assert_eq!(sorted, lines);
        }
    }

    #[test]
    fn the_hash_depends_on_seed_and_text() {
        assert_eq!(keyed_hash(1, "a.example"), keyed_hash(1, "a.example"));
        assert_ne!(keyed_hash(1, "a.example"), keyed_hash(2, "a.example"));
        let high: std::collections::HashSet<_> =
            (0..64).map(|it| keyed_hash(7, &format!("d{it}.example")) >> 58).collect();
        assert!(high.len() > 30, "{} of 64 values", high.len());
    }
}
