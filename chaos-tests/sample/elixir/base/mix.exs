# The sample app in Elixir: a counter behind HTTP, configured at boot. It needs nothing but Elixir.
defmodule Greeter.MixProject do
  use Mix.Project

  def project do
    [
      app: :greeter,
      version: "@VSN@",
      elixir: "~> 1.14",
      releases: [greeter: [include_executables_for: [:unix], steps: [:assemble, :tar]]]
    ]
  end

  # Hot upgrades need sasl in the release; everything else works without it.
  def application do
    [mod: {Greeter.Application, []}, extra_applications: [:logger] ++ sasl()]
  end

  defp sasl, do: if(System.get_env("WITH_SASL") == "1", do: [:sasl], else: [])
end
