# Sidekiq: jobs at once, in bulk, later, and again after a failure, done by a process of its own. The server's port and the file
# for that process' log are the arguments.
ENV["SIDEKIQ_PORT"] = ARGV.fetch(0)
require_relative "jobs"
require "sidekiq/api"

def wait_until(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
  until yield
    raise "#{what} has not come about" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    sleep 0.05
  end
end

Sidekiq.redis(&:flushall)
Adds.perform_async(1, 2)
Adds.perform_in(2, 3, 4)
Sidekiq::Client.push_bulk("class" => Adds, "args" => [[10, 1], [10, 2], [10, 3]])
Fails.perform_async
raise "no jobs wait" unless Sidekiq::Queue.new.size == 5 && Sidekiq::ScheduledSet.new.size == 1

worker = spawn("sidekiq", "--require", File.join(__dir__, "jobs.rb"), "--concurrency", "2", out: ARGV.fetch(1), err: ARGV.fetch(1))
begin
  sums = -> { Sidekiq.redis { |redis| redis.lrange("sums", 0, -1).map(&:to_i).sort } }
  wait_until("all sums") { sums.call == [3, 7, 11, 12, 13] }
  wait_until("another try") { Sidekiq.redis { |redis| redis.get("tries") } == "2" }
  wait_until("an account of it") { stats = Sidekiq::Stats.new; [stats.failed, stats.processed] == [1, 7] }
  raise "no process tells of itself" unless Sidekiq::ProcessSet.new.size == 1
  raise "something is left" unless Sidekiq::RetrySet.new.size == 0 && Sidekiq::DeadSet.new.size == 0
ensure
  Process.kill("TERM", worker)
  Process.wait(worker)
end
raise "it did not end well" unless $?.success?
puts "OK"
