// rueidis as a client with a cache.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

type rueidisClient struct{ cache, plain rueidis.Client }

func openRueidis(address string) cached {
	cache, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address}})
	check(err)
	plain, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address}, DisableCache: true})
	check(err)
	return rueidisClient{cache, plain}
}

func rueidisText(result rueidis.RedisResult) string {
	text, err := result.ToString()
	if rueidis.IsRedisNil(err) {
		return ""
	}
	check(err)
	return text
}

func (client rueidisClient) get(key string) (string, bool) {
	result := client.cache.DoCache(context.Background(), client.cache.B().Get().Key(key).Cache(), time.Minute)
	return rueidisText(result), result.IsCacheHit()
}

func (client rueidisClient) getMany(keys ...string) []string {
	var commands []rueidis.CacheableTTL
	for _, key := range keys {
		commands = append(commands, rueidis.CT(client.cache.B().Get().Key(key).Cache(), time.Minute))
	}
	var values []string
	for _, result := range client.cache.DoMultiCache(context.Background(), commands...) {
		values = append(values, rueidisText(result))
	}
	return values
}

func (client rueidisClient) other(words ...string) string {
	command := client.plain.B().Arbitrary(words[0]).Args(words[1:]...).Build()
	message, err := client.plain.Do(context.Background(), command).ToMessage()
	check(err)
	if text, err := message.ToString(); err == nil {
		return text
	}
	return fmt.Sprint(message)
}

func (client rueidisClient) close() {
	client.cache.Close()
	client.plain.Close()
}
