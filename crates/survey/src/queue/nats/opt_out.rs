//! The opt-out list of a run, which its workers read while they work.

use super::lane::{MAX_MESSAGE, decompress};
use super::{NatsRun, Published, failed};
use crate::error::SurveyError;
use crate::files::compress;
use crate::opt_out::OptOutList;

/// The record with the list: one entry a line, compressed. The last message is the list.
const RECORD: &str = "opt-out";

impl NatsRun {
    /// Returns the opt-out list of the run.
    ///
    /// # Errors
    /// If the server does not answer, or the list has another form.
    pub async fn opt_out(&self) -> Result<OptOutList, SurveyError> {
        Ok(self.opt_out_after(0).await?.map(|(list, _)| list).unwrap_or_default())
    }

    /// Changes the opt-out list of the run. `change` is called again if another process changed the list meanwhile.
    ///
    /// # Errors
    /// If the server does not answer, or the list is too large for a message.
    pub async fn change_opt_out(&self, change: impl Fn(&mut OptOutList)) -> Result<(), SurveyError> {
        let subject = self.name.record(RECORD);
        loop {
            let (mut list, last) = self.opt_out_after(0).await?.unwrap_or_default();
            change(&mut list);
            let lines: Vec<_> = list.entries().map(ToString::to_string).collect();
            let octets = compress(lines.iter().map(String::as_str));
            let octets = octets.map_err(|error| failed("cannot compress the opt-out list", error))?;
            if octets.len() > MAX_MESSAGE {
                return Err(SurveyError::Queue(format!(
                    "the opt-out list has {} entries: expected at most {MAX_MESSAGE} octets when compressed, found {}",
                    lines.len(),
                    octets.len()
                )));
            }
            if let Published::At(_) = self.publish(&subject, octets.into(), Some(last)).await? {
                return Ok(());
            }
        }
    }

    /// Returns the list and the number of its message, if it is another message than the one with the number `known`.
    pub(crate) async fn opt_out_after(&self, known: u64) -> Result<Option<(OptOutList, u64)>, SurveyError> {
        let subject = self.name.record(RECORD);
        let Some(message) = self.last(&subject).await?.filter(|it| it.sequence != known) else {
            return Ok(None);
        };
        let text = String::from_utf8(decompress(&subject, &message.payload)?);
        let list = text.map_err(|error| error.to_string()).and_then(|text| OptOutList::parse(&text));
        let list = list.map_err(|why| failed(format_args!("the record {subject} has another form"), why))?;
        Ok(Some((list, message.sequence)))
    }
}
