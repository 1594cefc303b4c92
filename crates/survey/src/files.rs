//! Files of JSON lines, compressed with zstd, that appear as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::SurveyError;

/// Level 6 is 30 % smaller than the default at 110 MB/s.
const LEVEL: i32 = 6;

/// The longest line of a file, in octets: a row with the evidence of a full audit is 25 kB.
const MAX_LINE: u64 = 4 * 1024 * 1024;

/// Writes a file in one step: after a crash it is there as a whole, or it is not there.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_whole(path: &Path, octets: &[u8]) -> Result<(), SurveyError> {
    let write = || {
        // One process writes a run, so the name is free.
        let part = path.with_extension("tmp");
        let mut file = File::create(&part)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        path.parent().map_or(Ok(()), sync_folder)
    };
    write().map_err(SurveyError::file(path))
}

/// Writes the names in a folder to the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Compresses lines into one frame with a checksum.
pub(crate) fn compress<'a>(lines: impl IntoIterator<Item = &'a str>) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    for line in lines {
        encoder.write_all(line.as_bytes())?;
        encoder.write_all(b"\n")?;
    }
    encoder.finish()
}

/// A compressed file of lines that is being written. It has its name after [`LineWriter::finish`].
pub(crate) struct LineWriter {
    path: std::path::PathBuf,
    encoder: zstd::stream::Encoder<'static, File>,
}

impl LineWriter {
    pub(crate) fn create(path: &Path) -> Result<Self, SurveyError> {
        let open = || {
            let mut encoder = zstd::stream::Encoder::new(File::create(path.with_extension("tmp"))?, LEVEL)?;
            encoder.include_checksum(true)?;
            Ok(encoder)
        };
        Ok(Self { path: path.to_owned(), encoder: open().map_err(SurveyError::file(path))? })
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<(), SurveyError> {
        let write = self.encoder.write_all(line.as_bytes()).and_then(|()| self.encoder.write_all(b"\n"));
        write.map_err(SurveyError::file(&self.path))
    }

    pub(crate) fn finish(self) -> Result<(), SurveyError> {
        let Self { path, encoder } = self;
        let finish = || {
            encoder.finish()?.sync_all()?;
            fs::rename(path.with_extension("tmp"), &path)?;
            path.parent().map_or(Ok(()), sync_folder)
        };
        finish().map_err(SurveyError::file(&path))
    }
}

/// The lines of a compressed file.
pub(crate) struct LineReader {
    path: std::path::PathBuf,
    input: BufReader<zstd::stream::Decoder<'static, BufReader<File>>>,
}

impl LineReader {
    pub(crate) fn open(path: &Path) -> Result<Self, SurveyError> {
        let open = || Ok(BufReader::new(zstd::stream::Decoder::new(File::open(path)?)?));
        Ok(Self { path: path.to_owned(), input: open().map_err(SurveyError::file(path))? })
    }

    /// Returns the next line; `None` at the end of a whole file.
    pub(crate) fn next_line(&mut self) -> Result<Option<String>, SurveyError> {
        let mut line = String::new();
        let read = self.input.by_ref().take(MAX_LINE).read_line(&mut line);
        match read.map_err(SurveyError::file(&self.path))? {
            0 => Ok(None),
            _ if line.pop() == Some('\n') => Ok(Some(line)),
            _ => Err(SurveyError::contents(&self.path, "a line is truncated, or longer than 4 MiB")),
        }
    }

    /// Returns the next row.
    pub(crate) fn next_row<T: DeserializeOwned>(&mut self) -> Result<Option<T>, SurveyError> {
        let Some(line) = self.next_line()? else { return Ok(None) };
        let row = serde_json::from_str(&line);
        row.map(Some)
            .map_err(|error| SurveyError::contents(&self.path, format!("a row has another form: {error}")))
    }
}

/// Returns the JSON text of a value whose keys are strings, which cannot fail.
pub(crate) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_and_a_truncated_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl.zst");
        let mut writer = LineWriter::create(&path).unwrap();
        let lines: Vec<_> = (0..500).map(|it| format!("{{\"row\":{it}}}")).collect();
        lines.iter().for_each(|line| writer.line(line).unwrap());
        assert!(!path.exists(), "a file that is not whole has no name");
        writer.finish().unwrap();
        let read = |path: &Path| {
            let (mut reader, mut found) = (LineReader::open(path).unwrap(), Vec::new());
            while let Some(line) = reader.next_line()? {
                found.push(line);
            }
            Ok::<_, SurveyError>(found)
        };
        assert_eq!(read(&path).unwrap(), lines);
        write_whole(&path, &compress(lines.iter().map(String::as_str)).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap(), lines);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert!(read(&path).is_err());
    }
}
