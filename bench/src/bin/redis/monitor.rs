//! What clients send to a server, as its MONITOR shows it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail, ensure};

use crate::servers::Server;

/// The last word of a recording.
const END: &str = "end-of-recording";

/// A recording under way.
pub(crate) struct Monitor {
    thread: JoinHandle<Result<Vec<String>>>,
}

impl Monitor {
    /// Begins to record.
    pub(crate) fn start(server: &Server) -> Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port()))?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().context("the server hung up")??;
        ensure!(first == "+OK", "MONITOR is answered by {first}");
        let thread = thread::spawn(move || {
            let mut sent = Vec::new();
            for line in lines {
                let line = line?;
                if line.contains(END) {
                    return Ok(sent);
                }
                // What a script calls is said to come from Lua.
                if !line.contains(" lua] ") {
                    sent.push(line);
                }
            }
            bail!("the server hung up")
        });
        Ok(Self { thread })
    }

    /// Ends it: the commands that clients sent, without what scripts called.
    pub(crate) fn stop(self, server: &Server) -> Result<Vec<String>> {
        let mut connection = server.connect()?;
        redis::cmd("ECHO").arg(END).exec(&mut connection)?;
        let recorded = self.thread.join();
        let mut sent = recorded.unwrap_or_else(|_| bail!("a recording panicked"))?;
        // What the connection that ended the recording said of itself.
        sent.retain(|line| !line.contains("\"CLIENT\""));
        Ok(sent)
    }
}

/// The words of a recorded command.
pub(crate) fn words(line: &str) -> Result<Vec<String>> {
    let (_, quoted) = line.split_once("] ").context("no command in the line")?;
    let mut words = Vec::new();
    let mut rest = quoted.chars();
    while let Some(start) = rest.next() {
        match start {
            ' ' => {}
            '"' => words.push(word(&mut rest)?),
            other => bail!("{other:?} outside of a word in {line}"),
        }
    }
    Ok(words)
}

/// The rest of a word, up to its closing quote.
fn word(rest: &mut std::str::Chars<'_>) -> Result<String> {
    let mut word = String::new();
    loop {
        match rest.next().context("a word has no end")? {
            '"' => return Ok(word),
            '\\' => match rest.next().context("a word has no end")? {
                quoted @ ('"' | '\\') => word.push(quoted),
                other => bail!("the byte \\{other} cannot be replayed"),
            },
            plain => word.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = r#"1.2 [0 127.0.0.1:5] "evalsha" "a b" "" "say \"c\\d\"""#;
        assert_eq!(words(line).unwrap(), ["evalsha", "a b", "", r#"say "c\d""#]);
        assert!(words(r#"1.2 [0 127.0.0.1:5] "\x00""#).is_err());
        assert!(words("+OK").is_err());
    }
}
