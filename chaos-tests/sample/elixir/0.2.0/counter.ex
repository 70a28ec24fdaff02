defmodule Greeter.Counter do
  @moduledoc "0.2.0: the state is a map."
  use GenServer
  @vsn 2

  def start_link(_), do: GenServer.start_link(__MODULE__, 0, name: __MODULE__)
  def bump, do: GenServer.call(__MODULE__, :bump)

  @impl true
  def init(count), do: {:ok, %{count: count}}

  @impl true
  def handle_call(:bump, _from, %{count: count} = state), do: {:reply, count + 1, %{state | count: count + 1}}

  @impl true
  def code_change({:down, _vsn}, %{count: count}, _extra), do: {:ok, count}
  def code_change(_vsn, count, _extra), do: {:ok, %{count: count}}
end
