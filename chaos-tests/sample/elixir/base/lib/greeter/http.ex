defmodule Greeter.Http do
  @moduledoc "One answer to every request: the count, the version that answers, the greeting, and which life of the VM this is."
  use Task, restart: :permanent

  def start_link(_), do: Task.start_link(__MODULE__, :listen, [])

  def listen do
    {:ok, socket} =
      :gen_tcp.listen(Application.fetch_env!(:greeter, :port), [
        :binary,
        active: false,
        reuseaddr: true,
        ip: Application.get_env(:greeter, :ip, {127, 0, 0, 1})
      ])

    accept(socket)
  end

  def accept(socket) do
    # A time limit, so that a new version of this module takes over.
    case :gen_tcp.accept(socket, 100) do
      {:ok, client} -> serve(client)
      {:error, :timeout} -> :ok
    end

    __MODULE__.accept(socket)
  end

  # The whole head of the request: who is answered before is cut off while still asking.
  defp request(client, seen) do
    with false <- String.contains?(seen, "\r\n\r\n"),
         {:ok, more} <- :gen_tcp.recv(client, 0, 1000) do
      request(client, seen <> more)
    end
  end

  defp serve(client) do
    request(client, "")
    greeting = Application.get_env(:greeter, :greeting, "nothing")
    boot = :persistent_term.get(:greeter_boot, "unknown")
    body = ~s({"count":#{Greeter.Counter.bump()},"version":"@VSN@","greeting":"#{greeting}","boot":"#{boot}"}\n)
    :gen_tcp.send(client, "HTTP/1.1 200 OK\r\ncontent-length: #{byte_size(body)}\r\nconnection: close\r\n\r\n" <> body)
    :gen_tcp.close(client)
  end
end
