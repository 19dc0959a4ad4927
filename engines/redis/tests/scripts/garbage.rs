//! Whatever a server answers, the decoders refuse or read it, and do not panic.

use std::time::Duration;

use leasehold_core::quorum::{JoinCommand, RunId};
use proptest::prelude::*;
use redis::Value;

use super::remote::{nonce, token};
use super::scripts::info::decode_info;
use super::scripts::{
    RunText, Scripts, decode_acquire, decode_break, decode_extend, decode_join, decode_promote,
    decode_release, decode_status,
};

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        "[0-9a-f]{32}".prop_map(String::into_bytes),
        "[0-9a-f]{40}".prop_map(String::into_bytes),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        "((run_id|role|uptime_in_seconds|evicted_keys|cmdstat_flushall|:|\r\n|[a-f0-9]{40}|-1|é){0,4}){0,6}"
            .prop_map(String::into_bytes),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        2 => Just(Value::Nil),
        1 => Just(Value::Okay),
        8 => (-2..6_i64).prop_map(Value::Int),
        2 => any::<i64>().prop_map(Value::Int),
        6 => word().prop_map(Value::BulkString),
        1 => any::<String>().prop_map(Value::SimpleString),
        1 => any::<f64>().prop_map(Value::Double),
        1 => any::<bool>().prop_map(Value::Boolean),
    ];
    leaf.prop_recursive(3, 32, 8, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 0..9).prop_map(Value::Array),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Set),
            1 => prop::collection::vec(pair, 0..4).prop_map(Value::Map),
        ]
    })
}

fn decode_all(value: &Value, values: &[Value]) {
    drop(decode_acquire(value));
    drop(decode_promote(value));
    drop(decode_extend(value));
    drop(decode_release(value));
    drop(decode_status(value));
    drop(decode_break(value));
    drop(decode_info(value));
    drop(Scripts::new(Duration::from_secs(1)).decode_load(values));
    let run = RunText::from(RunId::from_bytes([1; 20]));
    let (ticket, to, floor) = (nonce(1), token(1), token(1));
    let max_ttl = Duration::from_secs(1);
    for command in [
        JoinCommand::Inspect,
        JoinCommand::Notice { ticket },
        JoinCommand::Recall,
        JoinCommand::Raise { to },
        JoinCommand::Install {
            ticket,
            floor,
            max_ttl,
        },
        JoinCommand::Adopt { max_ttl },
        JoinCommand::Keep { max_ttl },
    ] {
        drop(decode_join(command, &run, values));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_refused_or_read(
        value in value(),
        values in prop::collection::vec(value(), 0..8),
    ) {
        decode_all(&value, &values);
    }

    /// As a script would answer, but for a word or two.
    #[test]
    fn almost_an_answer_is_refused_or_read(
        kind in -1..5_i64,
        rest in prop::collection::vec(value(), 0..8),
    ) {
        let mut values = vec![Value::Int(kind)];
        values.extend(rest);
        decode_all(&Value::Array(values.clone()), &values);
    }
}

#[test]
fn a_refusal_says_what_came_but_not_all_of_it() {
    let said = decode_release(&Value::BulkString(vec![b'x'; 5_000])).unwrap_err();
    let said = said.to_string();
    assert!(said.contains("release") && said.len() < 400, "{said}");
}
