module sherd.test/asynq

go 1.23

require github.com/hibiken/asynq v0.25.1
