import Config

config :greeter, port: String.to_integer(System.fetch_env!("PORT")), greeting: "hello from @VSN@ to " <> System.get_env("GREET", "everybody")
