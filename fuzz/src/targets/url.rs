//! The URL that chooses an engine, and every engine's reading of it.

use anyhow::Result;
use fastrand::Rng;
use leasehold_core::{EngineUrl, Error};
use leasehold_local::LocalOptions;
use leasehold_memory::MemoryEngine;
use leasehold_redis::RedisOptions;

use super::text;
use crate::target::{Opened, Shape, Target};

/// Stands for the password wherever an input has one.
const SECRET: &str = "s3cr3t";

struct Url;

pub(crate) fn open(lanes: usize) -> Result<Vec<Opened>> {
    Ok((0..lanes).map(|_| Box::new(Url) as Opened).collect())
}

impl Target for Url {
    fn check(&mut self, input: &[u8]) -> Result<Shape, String> {
        let url = text(input);
        let hidden = has_password(&url);
        let look = |said: &str| match hidden && said.contains(SECRET) {
            true => Err(format!("the password is shown: {said}")),
            false => Ok(()),
        };
        let refused = |error: &Error| {
            let said = error.to_string();
            look(&said)?;
            look(&format!("{error:?}"))?;
            if said.chars().any(char::is_control) {
                return Err(format!("an error with control characters: {said:?}"));
            }
            Ok(Shape::of_text(&said))
        };
        look(&format!("{:?}", leasehold::Locks::builder().url(&url)))?;
        let parsed = match EngineUrl::parse(&url) {
            Ok(parsed) => parsed,
            Err(error) => return refused(&error),
        };
        if EngineUrl::parse(&url).ok().as_ref() != Some(&parsed) {
            return Err("the same URL is read in two ways".to_owned());
        }
        let mut shapes = Vec::new();
        shapes.push(match LocalOptions::from_url(parsed.clone()) {
            Ok(options) => Shape::of(options.path().as_os_str().is_empty()),
            Err(error) => refused(&error)?,
        });
        shapes.push(match RedisOptions::from_url(parsed.clone()) {
            Ok(options) => {
                let shown = format!("{options:?}");
                look(&shown)?;
                Shape::of_text(&shown)
            }
            Err(error) => refused(&error)?,
        });
        // A store with a name is kept for good.
        if parsed.scheme() != "memory" || parsed.body().is_empty() {
            shapes.push(match MemoryEngine::from_url(parsed) {
                Ok(_) => Shape::of("memory"),
                Err(error) => refused(&error)?,
            });
        }
        Ok(Shape::of(shapes))
    }

    fn invent(&self, random: &mut Rng) -> Vec<u8> {
        let schemes = [
            "redis://",
            "rediss://",
            "redis+unix:",
            "redis+sentinel://",
            "rediss+sentinel://",
            "redis+cluster://",
            "rediss+cluster://",
            "local:",
            "memory:",
            "s3://",
        ];
        let mut pick = |from: &[&str]| from[random.usize(..from.len())].to_owned();
        let mut url = pick(&schemes);
        url += &pick(&["", "", "al:s3cr3t@", ":s3cr3t@", "al%40:s3cr3t@", "@"]);
        for _ in 0..3 {
            url += &pick(&["r1", "r2:6380", "[::1]:7000", "/var/x.db", "R1", ",", ""]);
            url += &pick(&[",", "", "/0", "/eu,us", ":"]);
        }
        for mark in ["?", "&", "&"] {
            url += mark;
            url += &pick(KEYS);
            url += &pick(&[
                "=1s",
                "=yes",
                "=no",
                "=auto",
                "=s3cr3t",
                "=",
                "=%41",
                "=%4",
                "=584942417355y",
                "=0s",
            ]);
        }
        url.into_bytes()
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"redis://",
            b"rediss://",
            b"redis+unix:",
            b"redis+sentinel://",
            b"redis+cluster://",
            b"local:",
            b"memory:",
            b"al:s3cr3t@",
            b"password=s3cr3t",
            b"sentinel_password=s3cr3t",
            b"max_ttl=",
            b"timeout=",
            b"prefix=",
            b"retention=",
            b"durable=yes",
            b"fresh=yes",
            b"era=manual",
            b"collect_after=",
            b"db=",
            b"%00",
            b"%zz",
            b"[::1]",
            b"584942417355y",
            b"1ns",
            b"\xf0\x9f\x94\x92",
        ]
    }
}

const KEYS: &[&str] = &[
    "max_ttl",
    "timeout",
    "prefix",
    "retention",
    "fresh",
    "era",
    "durable",
    "db",
    "user",
    "password",
    "sentinel_user",
    "sentinel_password",
    "ca",
    "cert",
    "key",
    "collect_after",
    "nonsense",
];

/// Whether the secret stands where a password belongs, and only there.
fn has_password(url: &str) -> bool {
    if url.matches(SECRET).count() != 1 {
        return false;
    }
    let Some((scheme, rest)) = url.split_once(':') else {
        return false;
    };
    let (body, query) = rest.split_once('?').unwrap_or((rest, ""));
    let in_body = || {
        let Some(authority) = body.strip_prefix("//") else {
            return false;
        };
        let Some((login, _)) = authority.rsplit_once('@') else {
            return false;
        };
        login
            .split_once(':')
            .is_some_and(|(_, password)| password.contains(SECRET))
    };
    let keys: &[&str] = match scheme {
        "redis+unix" => &["password"],
        "redis+sentinel" | "rediss+sentinel" => &["sentinel_password"],
        _ => &[],
    };
    let in_query = || {
        query.split('&').any(|pair| {
            let named = pair.split_once('=');
            named.is_some_and(|(key, value)| keys.contains(&key) && value.contains(SECRET))
        })
    };
    match scheme {
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => in_body(),
        "redis+sentinel" | "rediss+sentinel" => in_body() || in_query(),
        _ => in_query(),
    }
}
