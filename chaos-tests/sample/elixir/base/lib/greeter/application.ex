defmodule Greeter.Application do
  @moduledoc "Starts the counter and its HTTP server."
  use Application

  @impl true
  def start(_type, _args) do
    :persistent_term.put(:greeter_boot, "#{System.pid()}-#{System.os_time()}")
    Supervisor.start_link([Greeter.Counter, Greeter.Http], strategy: :one_for_one, name: Greeter.Supervisor)
  end
end
