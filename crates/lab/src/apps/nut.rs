//! NUT, Network UPS Tools (RFC 9271): one power supply named `lab`, which is online.

use super::context::{AppContext, Serving};
use super::words::words;
use crate::session::SessionError;

const VARIABLES: [(&str, &str); 3] =
    [("battery.charge", "100"), ("device.mfr", "starttls"), ("ups.status", "OL")];

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, .. }: AppContext<'_>) -> Result<(), SessionError> {
    let (mut user, mut password) = (String::new(), String::new());
    let mut logged_in = false;
    while let Some(line) = session.next_command().await? {
        let words = words(&line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let known = words.get(2).or(words.get(1)).is_some_and(|ups| *ups == "lab");
        let answer = match words[..] {
            ["USERNAME", _] if !user.is_empty() => String::from("ERR ALREADY-SET-USERNAME"),
            ["PASSWORD", _] if !password.is_empty() => String::from("ERR ALREADY-SET-PASSWORD"),
            ["USERNAME", name] => {
                user = name.to_owned();
                String::from("OK")
            }
            ["PASSWORD", secret] => {
                password = secret.to_owned();
                String::from("OK")
            }
            ["LOGIN", _] if logged_in => String::from("ERR ALREADY-LOGGED-IN"),
            ["LOGIN", "lab"] if user.is_empty() => String::from("ERR USERNAME-REQUIRED"),
            ["LOGIN", "lab"] if world.admits(user.as_bytes(), password.as_bytes()) => {
                logged_in = true;
                String::from("OK")
            }
            ["LOGIN", "lab"] => String::from("ERR ACCESS-DENIED"),
            ["LIST", "UPS"] => {
                String::from("BEGIN LIST UPS\nUPS lab \"The lab's power supply\"\nEND LIST UPS")
            }
            ["LIST", "VAR", "lab"] => {
                let all: String =
                    VARIABLES.iter().map(|(it, value)| format!("VAR lab {it} \"{value}\"\n")).collect();
                format!("BEGIN LIST VAR lab\n{all}END LIST VAR lab")
            }
            ["GET", "VAR", "lab", name] => match VARIABLES.iter().find(|(it, _)| *it == name) {
                Some((_, value)) => format!("VAR lab {name} \"{value}\""),
                None => String::from("ERR VAR-NOT-SUPPORTED"),
            },
            ["GET", "UPSDESC", "lab"] => String::from("UPSDESC lab \"The lab's power supply\""),
            ["GET", "NUMLOGINS", "lab"] => format!("NUMLOGINS lab {}", u8::from(logged_in)),
            ["LOGIN" | "LIST" | "GET", ..] if !known => String::from("ERR UNKNOWN-UPS"),
            ["LOGIN" | "LIST" | "GET" | "USERNAME" | "PASSWORD", ..] => String::from("ERR INVALID-ARGUMENT"),
            _ => String::from("ERR UNKNOWN-COMMAND"),
        };
        session.send(answer);
        session.send("\n");
    }
    Ok(())
}
