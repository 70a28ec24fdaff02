defmodule Front do
  @moduledoc "Asks the other application."
  def answer, do: Back.answer()
end
