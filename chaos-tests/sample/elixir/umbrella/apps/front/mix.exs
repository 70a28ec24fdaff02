defmodule Front.MixProject do
  use Mix.Project

  def project do
    [app: :front, version: "@VSN@", build_path: "../../_build", deps_path: "../../deps", lockfile: "../../mix.lock", deps: deps()]
  end

  def application, do: [extra_applications: [:logger]]
  defp deps, do: [{:back, in_umbrella: true}]
end
