// valkey-go as a client with a cache.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/valkey-io/valkey-go"
)

type valkeyClient struct{ cache, plain valkey.Client }

func openValkey(address string) cached {
	cache, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{address}})
	check(err)
	plain, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{address}, DisableCache: true})
	check(err)
	return valkeyClient{cache, plain}
}

func valkeyText(result valkey.ValkeyResult) string {
	text, err := result.ToString()
	if valkey.IsValkeyNil(err) {
		return ""
	}
	check(err)
	return text
}

func (client valkeyClient) get(key string) (string, bool) {
	result := client.cache.DoCache(context.Background(), client.cache.B().Get().Key(key).Cache(), time.Minute)
	return valkeyText(result), result.IsCacheHit()
}

func (client valkeyClient) getMany(keys ...string) []string {
	var commands []valkey.CacheableTTL
	for _, key := range keys {
		commands = append(commands, valkey.CT(client.cache.B().Get().Key(key).Cache(), time.Minute))
	}
	var values []string
	for _, result := range client.cache.DoMultiCache(context.Background(), commands...) {
		values = append(values, valkeyText(result))
	}
	return values
}

func (client valkeyClient) other(words ...string) string {
	command := client.plain.B().Arbitrary(words[0]).Args(words[1:]...).Build()
	message, err := client.plain.Do(context.Background(), command).ToMessage()
	check(err)
	if text, err := message.ToString(); err == nil {
		return text
	}
	return fmt.Sprint(message)
}

func (client valkeyClient) close() {
	client.cache.Close()
	client.plain.Close()
}
