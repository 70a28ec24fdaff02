defmodule Back.MixProject do
  use Mix.Project

  def project do
    [app: :back, version: "@VSN@", build_path: "../../_build", deps_path: "../../deps", lockfile: "../../mix.lock", deps: deps()]
  end

  def application, do: [extra_applications: [:logger]]
  defp deps, do: []
end
