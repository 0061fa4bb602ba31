// Uses go-redis in its default settings against the server on the first port, then as a cluster client against the
// second, if there is any; with a folder of certificates, over TLS. Prints OK at the end; any surprise ends the process with a code
// other than 0.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"

	"github.com/redis/go-redis/v9"
)

func must(condition bool, what string) {
	if !condition {
		fmt.Fprintln(os.Stderr, "unexpected:", what)
		os.Exit(1)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func use(ctx context.Context, client redis.UniversalClient) {
	check(client.Set(ctx, "{t}k", "v", 0).Err())
	value, err := client.Get(ctx, "{t}k").Result()
	check(err)
	must(value == "v", "GET")
	check(client.HSet(ctx, "{t}h", "f", "1", "g", "2").Err())
	fields, err := client.HGetAll(ctx, "{t}h").Result()
	check(err)
	must(len(fields) == 2 && fields["f"] == "1", "HGETALL")
	check(client.ZAdd(ctx, "{t}z", redis.Z{Score: 1.5, Member: "a"}).Err())
	score, err := client.ZScore(ctx, "{t}z", "a").Result()
	check(err)
	must(score == 1.5, "ZSCORE")
	_, err = client.Get(ctx, "{t}nothing").Result()
	must(err == redis.Nil, "a missing key is redis.Nil")
	commands, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Incr(ctx, "{t}n")
		pipe.Incr(ctx, "{t}n")
		return nil
	})
	check(err)
	must(commands[1].(*redis.IntCmd).Val() == 2, "EXEC")
	for number := 0; number < 100; number++ {
		check(client.Set(ctx, fmt.Sprintf("key:%d", number), number, 0).Err())
	}
	check(client.Del(ctx, "{t}k", "{t}h", "{t}z", "{t}n").Err())
}

func subscribe(ctx context.Context, client *redis.Client) {
	subscriber := client.Subscribe(ctx, "news")
	_, err := subscriber.Receive(ctx)
	check(err)
	check(subscriber.PSubscribe(ctx, "j*"))
	_, err = subscriber.Receive(ctx)
	check(err)
	heard := subscriber.Channel()
	check(client.Publish(ctx, "news", "hello").Err())
	message := <-heard
	must(message.Channel == "news" && message.Payload == "hello", "a message")
	check(client.Publish(ctx, "jobs", "work").Err())
	message = <-heard
	must(message.Pattern == "j*" && message.Channel == "jobs" && message.Payload == "work", "a message by a pattern")
	check(subscriber.Close())
}

func encryption(folder string) *tls.Config {
	authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	check(err)
	authorities := x509.NewCertPool()
	must(authorities.AppendCertsFromPEM(authority), "the authority is read")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "client.crt"), filepath.Join(folder, "client.key"))
	check(err)
	return &tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{certificate}, ServerName: "127.0.0.1"}
}

func main() {
	ctx := context.Background()
	options := &redis.Options{Addr: "127.0.0.1:" + os.Args[1]}
	if len(os.Args) > 3 {
		options.TLSConfig = encryption(os.Args[3])
	}
	single := redis.NewClient(options)
	use(ctx, single)
	subscribe(ctx, single)
	check(single.Watch(ctx, func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Set(ctx, "watched", "1", 0)
			return nil
		})
		return err
	}, "watched"))
	check(single.Close())
	if len(os.Args) > 2 && os.Args[2] != "0" {
		cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:" + os.Args[2]}})
		use(ctx, cluster)
		check(cluster.Close())
	}
	fmt.Println("OK")
}
