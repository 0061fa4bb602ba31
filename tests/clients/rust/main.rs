//! redis-rs with its defaults and with RESP3: values, pipelines, transactions, scripts, streams, subscribers; and as a cluster client.
//! The ports of a standalone server and of a cluster node are the arguments; 0 where there is none.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{Client, Commands, Connection, ErrorKind, Script, ServerErrorKind};

type Tried = Result<(), Box<dyn Error>>;

fn main() -> Tried {
    let ports: Vec<String> = std::env::args().skip(1).collect();
    for protocol in ["", "?protocol=resp3"] {
        let client = Client::open(format!("redis://127.0.0.1:{}/{protocol}", ports[0]))?;
        let mut connection = client.get_connection()?;
        redis::cmd("FLUSHALL").exec(&mut connection)?;
        values(&mut connection)?;
        together(&mut connection, &client)?;
        scripts(&mut connection)?;
        streams(&mut connection)?;
        subscribers(&mut connection, &client)?;
    }
    if ports[1] != "0" {
        cluster(&ports[1])?;
    }
    println!("OK");
    Ok(())
}

fn values(connection: &mut Connection) -> Tried {
    let _: () = connection.set("greeting", "hello")?;
    assert_eq!(connection.get::<_, String>("greeting")?, "hello");
    assert_eq!(connection.get::<_, Option<String>>("nothing")?, None);
    let _: () = connection.hset_multiple("user", &[("name", "Ada"), ("visits", "1")])?;
    let user: HashMap<String, String> = connection.hgetall("user")?;
    assert_eq!((user.len(), user["name"].as_str()), (2, "Ada"));
    let _: () = connection.zadd_multiple("board", &[(10.5, "a"), (7.0, "b")])?;
    let board: Vec<(String, f64)> = connection.zrange_withscores("board", 0, -1)?;
    assert_eq!(board, [("b".to_owned(), 7.0), ("a".to_owned(), 10.5)]);
    let found: Vec<String> = connection.scan_match("gree*")?.collect::<Result<_, _>>()?;
    assert_eq!(found, ["greeting"]);
    let wrong = connection.lpush::<_, _, i64>("greeting", "x").expect_err("it is no list");
    assert_eq!(wrong.code(), Some("WRONGTYPE"));
    Ok(())
}

fn together(connection: &mut Connection, client: &Client) -> Tried {
    let (first, second): (i64, i64) = redis::pipe().incr("hits", 1).incr("hits", 1).query(connection)?;
    assert_eq!((first, second), (1, 2));
    let mut other = client.get_connection()?;
    let mut tries = 0;
    // Another client changes the key the first time.
    let (value,): (i64,) = redis::transaction(connection, &["hits"], |connection, pipe| {
        let before: i64 = connection.get("hits")?;
        if tries == 0 {
            let _: i64 = other.incr("hits", 10)?;
        }
        tries += 1;
        pipe.set("hits", before + 1).ignore().get("hits").query(connection)
    })?;
    assert_eq!((value, tries), (13, 2));
    Ok(())
}

fn scripts(connection: &mut Connection) -> Tried {
    let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    for wanted in [7, 14] {
        assert_eq!(script.key("counted").arg(7).invoke::<i64>(connection)?, wanted);
    }
    let error = Script::new("return redis.error_reply('ERR no')").invoke::<i64>(connection).expect_err("it says so");
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError));
    Ok(())
}

fn streams(connection: &mut Connection) -> Tried {
    let _: () = connection.xgroup_create_mkstream("stream", "group", "$")?;
    let id: String = connection.xadd("stream", "*", &[("field", "value")])?;
    let options = StreamReadOptions::default().group("group", "one").count(10);
    let read: Option<StreamReadReply> = connection.xread_options(&["stream"], &[">"], &options)?;
    let read = read.ok_or("nothing was read")?;
    assert_eq!((read.keys.len(), read.keys[0].ids[0].id.as_str()), (1, id.as_str()));
    assert_eq!(connection.xack::<_, _, _, i64>("stream", "group", &[id])?, 1);
    Ok(())
}

fn subscribers(connection: &mut Connection, client: &Client) -> Tried {
    let mut listener = client.get_connection()?;
    let mut messages = listener.as_pubsub();
    messages.set_read_timeout(Some(Duration::from_secs(30)))?;
    messages.subscribe("news")?;
    messages.psubscribe("other.*")?;
    assert_eq!(connection.publish::<_, _, i64>("news", "one")?, 1);
    assert_eq!(connection.publish::<_, _, i64>("other.news", "two")?, 1);
    for (channel, wanted) in [("news", "one"), ("other.news", "two")] {
        let message = messages.get_message()?;
        assert_eq!((message.get_channel_name(), message.get_payload::<String>()?.as_str()), (channel, wanted));
    }
    Ok(())
}

fn cluster(port: &str) -> Tried {
    let client = ClusterClient::new(vec![format!("redis://127.0.0.1:{port}/")])?;
    let mut connection = client.get_connection()?;
    for number in 0..50 {
        let _: () = connection.set(format!("key:{number}"), number)?;
    }
    for number in 0..50 {
        assert_eq!(connection.get::<_, i64>(format!("key:{number}"))?, number);
    }
    Ok(())
}
