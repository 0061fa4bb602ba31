# redis-rb with its defaults: values, pipelines, transactions, scripts, subscribers. The port is the first argument.
require "redis"

def expect(what, is, wanted)
  raise "#{what}: #{is.inspect} instead of #{wanted.inspect}" unless is == wanted
end

port = Integer(ARGV.fetch(0))
redis = Redis.new(port: port)
redis.flushall
expect "set", redis.set("greeting", "hello"), "OK"
expect "get", redis.get("greeting"), "hello"
expect "set with options", redis.set("greeting", "again", nx: true, ex: 10), false
redis.mapped_hmset("user", { "name" => "Ada", "visits" => "1" })
expect "hgetall", redis.hgetall("user"), { "name" => "Ada", "visits" => "1" }
redis.zadd("board", [[10.5, "a"], [7, "b"]])
expect "zrange", redis.zrange("board", 0, -1, with_scores: true), [["b", 7.0], ["a", 10.5]]
expect "a pipeline", redis.pipelined { |pipe| pipe.incr("hits"); pipe.incr("hits"); pipe.get("greeting") }, [1, 2, "hello"]
expect "a transaction", redis.multi { |multi| multi.incr("hits"); multi.sadd("set", %w[x y]) }, [3, 2]
watched = redis.watch("hits") do
  Redis.new(port: port).incr("hits")
  redis.multi { |multi| multi.set("hits", 0) }
end
expect "a transaction whose key has changed", watched, nil
expect "eval", redis.eval("return {KEYS[1], ARGV[1], redis.call('get', KEYS[1])}", ["hits"], ["a"]), %w[hits a 4]
digest = redis.script(:load, "return tonumber(redis.call('incrby', KEYS[1], ARGV[1]))")
expect "evalsha", redis.evalsha(digest, ["hits"], [6]), 10
begin
  redis.lpush("greeting", "x")
  raise "a list was pushed to a string"
rescue Redis::CommandError => error
  expect "an error", error.message, "WRONGTYPE Operation against a key holding the wrong kind of value"
end
expect "a pop that waits", redis.blpop("nothing", timeout: 0.1), nil

got = []
subscriber = Thread.new do
  listener = Redis.new(port: port)
  listener.subscribe("news") do |on|
    on.message do |channel, message|
      got << [channel, message]
      listener.unsubscribe if message == "end"
    end
  end
end
deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 30
until redis.pubsub(:numsub, "news") == ["news", 1]
  raise "nobody subscribes" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
  sleep 0.01
end
redis.publish("news", "first")
redis.publish("news", "end")
raise "no messages came" unless subscriber.join(30)
expect "messages", got, [%w[news first], %w[news end]]
puts "OK"
