// The client-side cache of a Go client in its default settings against the server on a port: what is read stays with the client,
// and is read again when another connection has changed it. Prints OK at the end; any surprise ends the process with a code
// other than 0.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// A client with its cache, and a connection that has none.
type cached interface {
	// The value, none if there is no key, and whether it came from the cache.
	get(key string) (string, bool)
	// Values of many keys.
	getMany(keys ...string) []string
	// What the connection without a cache is answered.
	other(words ...string) string
	close()
}

const patience = 30 * time.Second

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

func eventually(what string, holds func() bool) {
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		must(time.Now().Before(end), what)
	}
}

func use(client cached) {
	client.other("SET", "k", "1")
	value, hit := client.get("k")
	must(value == "1" && !hit, "the first read asks the server")
	value, hit = client.get("k")
	must(value == "1" && hit, "the second read does not")
	info := client.other("INFO")
	must(!strings.Contains(info, "tracking_clients:0\r"), "no client is tracked")
	must(!strings.Contains(info, "tracking_total_keys:0\r"), "no key is remembered")
	client.other("SET", "k", "2")
	eventually("a change is seen", func() bool { value, _ := client.get("k"); return value == "2" })
	client.other("DEL", "k")
	eventually("a deletion is seen", func() bool { value, _ := client.get("k"); return value == "" })
	for number := 0; number < 20; number++ {
		client.other("SET", fmt.Sprint("n:", number), "1")
	}
	names := []string{"n:0", "n:1", "n:7", "n:19"}
	must(strings.Join(client.getMany(names...), "") == "1111", "many keys at once")
	client.other("FLUSHALL")
	eventually("an emptied database is seen", func() bool { return strings.Join(client.getMany(names...), "") == "" })
	client.close()
}

func main() {
	address := "127.0.0.1:" + os.Args[2]
	switch os.Args[1] {
	case "rueidis":
		use(openRueidis(address))
	case "valkey-go":
		use(openValkey(address))
	}
	fmt.Println("OK")
}
