// asynq's first example against the server on the given port: tasks that are done at once, later and after a failure, by a server
// in this process. Prints OK at the end; any surprise ends the process with a code other than 0.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hibiken/asynq"
)

const waitMax = 60 * time.Second

type payload struct {
	UserID int
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func task(kind string, user int) *asynq.Task {
	data, err := json.Marshal(payload{UserID: user})
	check(err)
	return asynq.NewTask(kind, data)
}

func main() {
	server := asynq.RedisClientOpt{Addr: "127.0.0.1:" + os.Args[1]}
	done := make(chan int, 16)
	failures := 1

	mux := asynq.NewServeMux()
	mux.HandleFunc("email:deliver", func(_ context.Context, task *asynq.Task) error {
		var given payload
		if err := json.Unmarshal(task.Payload(), &given); err != nil {
			return err
		}
		done <- given.UserID
		return nil
	})
	mux.HandleFunc("fails:once", func(_ context.Context, _ *asynq.Task) error {
		if failures > 0 {
			failures--
			return errors.New("not yet")
		}
		done <- 3
		return nil
	})
	worker := asynq.NewServer(server, asynq.Config{
		Concurrency:              2,
		Queues:                   map[string]int{"critical": 6, "default": 3},
		LogLevel:                 asynq.FatalLevel,
		DelayedTaskCheckInterval: 200 * time.Millisecond,
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return 0 },
	})
	check(worker.Start(mux))

	client := asynq.NewClient(server)
	_, err := client.Enqueue(task("email:deliver", 1), asynq.Queue("critical"))
	check(err)
	_, err = client.Enqueue(task("email:deliver", 2), asynq.ProcessIn(time.Second))
	check(err)
	_, err = client.Enqueue(task("fails:once", 3), asynq.MaxRetry(5))
	check(err)
	_, err = client.Enqueue(task("email:deliver", 4), asynq.TaskID("one"), asynq.Retention(time.Minute), asynq.ProcessIn(time.Hour))
	check(err)
	_, err = client.Enqueue(task("email:deliver", 4), asynq.TaskID("one"))
	if !errors.Is(err, asynq.ErrTaskIDConflict) {
		check(fmt.Errorf("a task of the same number was taken: %w", err))
	}

	inspector := asynq.NewInspector(server)
	check(inspector.RunTask("default", "one"))
	seen := map[int]bool{}
	deadline := time.After(waitMax)
	for len(seen) < 4 {
		select {
		case user := <-done:
			seen[user] = true
		case <-deadline:
			check(fmt.Errorf("only these tasks were done: %v", seen))
		}
	}
	worker.Shutdown()
	info, err := inspector.GetTaskInfo("default", "one")
	check(err)
	if info.State != asynq.TaskStateCompleted {
		check(fmt.Errorf("the task is %v", info.State))
	}
	check(inspector.Close())
	check(client.Close())
	fmt.Println("OK")
}
