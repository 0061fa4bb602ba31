# Sidekiq: what its worker processes do. Loaded by them, and by sidekiq.rb, which gives them jobs.
require "sidekiq"

url = { url: "redis://127.0.0.1:#{ENV.fetch("SIDEKIQ_PORT")}/0" }
Sidekiq.configure_server { |config| config.redis = url }
Sidekiq.configure_client { |config| config.redis = url }
Sidekiq.options[:poll_interval_average] = 1

class Adds
  include Sidekiq::Worker

  def perform(one, other)
    Sidekiq.redis { |redis| redis.rpush("sums", one + other) }
  end
end

class Fails
  include Sidekiq::Worker
  sidekiq_options retry: 1
  sidekiq_retry_in { 1 }

  def perform
    tries = Sidekiq.redis { |redis| redis.incr("tries") }
    raise "the first time" if tries == 1
  end
end
