import Config

{:ok, ip} = "LISTEN_IP" |> System.get_env("127.0.0.1") |> String.to_charlist() |> :inet.parse_address()

config :greeter, ip: ip, port: String.to_integer(System.fetch_env!("PORT")), greeting: "hello from @VSN@ to " <> System.get_env("GREET", "everybody")
