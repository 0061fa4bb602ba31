module sherd.test/caches

go 1.23

require (
	github.com/redis/rueidis v1.0.61
	github.com/valkey-io/valkey-go v1.0.60
)
