import Config

config :greeter, greeting: "from compile time", port: 0
