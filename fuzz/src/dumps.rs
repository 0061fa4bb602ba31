//! Payloads of RESTORE: one that is taken is a value like any other, which can be dumped and restored again; others are
//! refused. The footer is made here, for no fuzzer finds a checksum.

use sherd_shards::entry::object::Object;
use sherd_shards::entry::{Text, Value};
use sherd_shards::rdb::dump::{dump, restore};
use sherd_shards::rdb::{crc64, Limits, Loaded};
use sherd_shards::server::settings::Settings;

/// Before some times of fields and after others.
const NOW_MS: i64 = 1_700_000_000_000;

/// A body and, in the last byte, which server it pretends to come from.
pub fn payload(data: &[u8]) {
    let Some((choice, body)) = data.split_last() else { return };
    let version: u16 = [10, 12, 80][usize::from(choice % 3)];
    let mut sealed = [body, &version.to_le_bytes()].concat();
    sealed.extend_from_slice(&crc64(0, &sealed).to_le_bytes());
    let limits = Limits::from_settings(&Settings::default());
    match restore(&sealed, &limits, NOW_MS) {
        Err(_) | Ok(Loaded::Expired | Loaded::Empty) => {}
        Ok(Loaded::Text(bytes)) => {
            let again = dump(&Value::Text(Text::Bytes(&bytes)));
            let Ok(Loaded::Text(reloaded)) = restore(&again, &limits, NOW_MS) else { panic!("no string any more") };
            assert_eq!(reloaded, bytes);
        }
        Ok(Loaded::Object(object)) => object_survives(&object, &limits),
    }
}

fn object_survives(object: &Object, limits: &Limits) {
    let object = object.view();
    let copy = object.duplicate();
    let again = dump(&Value::Object(copy.view()));
    let Ok(Loaded::Object(reloaded)) = restore(&again, limits, NOW_MS) else { panic!("no value any more") };
    assert_eq!(reloaded.view().value_type(), object.value_type());
    assert_eq!(reloaded.view().element_count(), object.element_count());
    assert!(object.memory_bytes(0) > 0);
}
