defmodule Back do
  @moduledoc "Answers."
  def answer, do: "@VSN@"
end
