// In an app's build.gradle.kts: apply(from = "devdiff.gradle.kts"). `./gradlew devdiffCheck` tests the
// models; `./gradlew devdiffVerify` builds the release bundle and refuses one with untested models.
val devdiffFolder = layout.buildDirectory.dir("devdiff")

val devdiffVenv by tasks.registering(Exec::class) {
    group = "verification"
    description = "Installs devdiff into the build folder."
    val script = """
        python3.11 -m venv build/devdiff/venv
        build/devdiff/venv/bin/pip install --index-url https://download.pytorch.org/whl/cpu torch==2.13.0
        build/devdiff/venv/bin/pip install 'devdiff[native,torch]'
    """.trimIndent()
    commandLine("bash", "-euo", "pipefail", "-c", script)
    outputs.dir(devdiffFolder.map { it.dir("venv") })
    inputs.property("script", script)
}

val devdiffCheck by tasks.registering(Exec::class) {
    group = "verification"
    description = "Tests every model that devdiff.toml names, on this machine."
    dependsOn(devdiffVenv)
    val command = "build/devdiff/venv/bin/devdiff check --device local --junit build/devdiff/check.xml --out build/devdiff/check"
    commandLine("bash", "-c", "rm -rf build/devdiff/check; exec $command")
    inputs.files(fileTree(projectDir) { include("devdiff.toml", "models/**", "data/**") })
    outputs.file(devdiffFolder.map { it.file("check.xml") })
}

tasks.register<Exec>("devdiffVerify") {
    group = "verification"
    description = "Refuses a release bundle with a model that no run tested."
    dependsOn(devdiffCheck, "bundleRelease")
    val command = "build/devdiff/venv/bin/devdiff verify build/outputs/bundle/release/app-release.aab --report build/devdiff/check/*/report.json"
    commandLine("bash", "-c", "exec $command")
}

tasks.matching { it.name == "check" }.configureEach { dependsOn(devdiffCheck) }
